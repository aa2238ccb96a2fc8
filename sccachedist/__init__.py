"""The scheduler and the build server of sccache's distributed compilation, on Twisted."""
