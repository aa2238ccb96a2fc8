"""A scheduler and a build server for sccache's distributed compilation, on Twisted."""

#: The version of the package, of its commands and of both daemons.
__version__ = "0.2.0"
