"""Calls out: what one of our daemons asks another, or a web service, by HTTP, over connections that are kept.

Every call has a time limit and a byte limit, follows no redirect, and fails as a
:class:`~sccachedist.errors.PeerError`. The scheduler talks to a build server only if its certificate is exactly the
pinned one. This room knows no message of the protocol: bytes go out, bytes come back.
"""
