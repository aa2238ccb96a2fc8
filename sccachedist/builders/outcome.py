"""What the end of a compile means to the client: rules 2 to 4 of "What decides the fate of a user's build".

Pure decisions; how the compile was run is a builder's business.

What real clients declare (0.16.0, measured): the object, the dependency file, coverage notes, and with
``-gsplit-dwarf`` always a ``.dwo``. A compiler that is not told to make debug information leaves the ``.dwo``
out, and the client accepts a result without it. A result without any other declared file fails the user's
build.
"""

from sccachedist.errors import BuildError

_SIGNALS = range(129, 193)
_OPTIONAL_SUFFIX = ".dwo"
_WINDOWS_PATHS = "/prefix/disk-"


def reported_code(exit_code: int, cwd: str) -> int:
    """Give the ``code`` of the ``ProcessOutput`` for the exit status of a compiler that ran.

    A Unix client reads the code as a raw wait status, a Windows client as the exit code itself.

    :param exit_code: as a shell would show it, 128 and the signal's number for a compiler that was killed.
    :raises BuildError: it was killed: by the memory limit, by the sandbox or by its own fault, nobody can
        tell.
    """
    if exit_code in _SIGNALS:
        raise BuildError(f"the compiler was killed by signal {exit_code - 128}")
    return exit_code if cwd.startswith(_WINDOWS_PATHS) else exit_code << 8


def check_missing(output: str, exit_code: int) -> None:
    """Decide on a declared output that the compile did not leave.

    :raises BuildError: the compile says that it succeeded, and the client cannot do without the file.
    """
    if exit_code == 0 and not output.endswith(_OPTIONAL_SUFFIX):
        raise BuildError(f"the compiler succeeded without making {output!r}")
