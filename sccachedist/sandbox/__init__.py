"""What runs in a sandbox worker, the process that opens files from clients: synchronous, without Twisted.

The daemon's side is :mod:`sccachedist.builders`; the two meet in :mod:`sccachedist.builders.worker_protocol`.
"""
