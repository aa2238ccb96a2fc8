"""The gateway: a build server whose jobs run at workers that have dialled in.

It knows workers by what they say (:mod:`sccachedist.wire.gateway`), and a build server by the seam between that and a
builder (:mod:`sccachedist.builders.interface`). Who asks for compiles, and what a worker does with one, is not known.
"""
