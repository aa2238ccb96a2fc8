"""The names that a build directory has in the eyes of both its builder and its workers."""

TOOLCHAINS = "toolchains"
#: Where a worker mounts the file system in memory that a job writes to.
SCRATCH = "scratch"
#: Where :func:`~sccachedist.sandbox.overlay.namespaces.make_devices` makes them.
DEVICES = "dev"

DIRECTORIES = (TOOLCHAINS, SCRATCH, DEVICES)
