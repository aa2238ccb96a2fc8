"""The docker builder: an image for each toolchain, a container for each job, by the ``docker`` program."""
