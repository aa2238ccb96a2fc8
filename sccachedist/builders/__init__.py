"""Builders: who runs a compile in a sandbox, behind one seam.

:mod:`~sccachedist.builders.interface` says what the build server asks of a builder. Archive unpacking and path
confinement live here because every builder needs them; they know neither HTTP nor Twisted.
"""
