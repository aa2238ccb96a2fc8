"""The names of the directories in a build directory: the builder makes them, the workers use them."""

TOOLCHAINS = "toolchains"
#: Where a worker mounts the file system in memory that a job writes to.
SCRATCH = "scratch"
#: Where :func:`~sccachedist.sandbox.overlay.namespaces.make_devices` makes the devices of a job's ``/dev``.
DEVICES = "dev"

DIRECTORIES = (TOOLCHAINS, SCRATCH, DEVICES)
