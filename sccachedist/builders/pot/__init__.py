"""The pot builder: on FreeBSD, a pot for each toolchain and clones of it for jobs, by the ``pot`` program."""
