"""Builders, in the daemon: they have sandbox workers unpack toolchains and run compiles.

:mod:`~sccachedist.builders.interface` says what the build server asks of a builder. Nothing here opens or unpacks a
client's file: :mod:`sccachedist.sandbox` does, in worker processes. The two meet in
:mod:`~sccachedist.builders.worker_protocol`.
"""
