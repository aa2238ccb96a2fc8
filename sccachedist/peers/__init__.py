"""Calls out: what a daemon of ours asks another one, by HTTP, over connections that are kept.

Every call has a time limit and a byte limit, follows no redirect, and fails as a
:class:`~sccachedist.errors.PeerError`. A build server is spoken to only where its certificate is exactly the
pinned one. This room knows no message of the protocol: bytes go out, bytes come back.
"""
