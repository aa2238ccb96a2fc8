"""The scheduler and the build server of sccache's distributed compilation, on Twisted."""

#: The version, for the package and for all that shows one.
__version__ = "0.1.0"
