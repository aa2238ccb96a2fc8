"""What the end of a compile means to the client: rules 2 to 4 of "What decides the fate of a user's build".

Pure decisions; it does not know how the compile was run. Which failed compiles the client repeats, decides
:mod:`sccachedist.sandbox.result.failure_policy`.

First of four stations of an error on its way to a status: it is raised here,
:mod:`sccachedist.builders.worker_protocol` carries it to the daemon, :mod:`sccachedist.server.job_runner` takes it, and
:mod:`sccachedist.web.responses` has the status: a 5xx, so that the client compiles locally.

What real clients declare as outputs (0.16.0 with gcc, clang and rustc, against the published build server): the object;
the dependency file of ``-MD``, which the client makes itself and the remote command does not name; coverage notes,
which were always there; with ``-gsplit-dwarf`` a ``.dwo``, which clang leaves out without ``-g``. The client accepts a
result without the others, but without the object it fails the user's build.
"""

import posixpath
from collections.abc import Collection

import attrs

from sccachedist.errors import BuildError, CompileFailed, LimitExceeded
from sccachedist.policy import OnFailure
from sccachedist.sandbox.processes import Ended
from sccachedist.sandbox.result.failure_policy import VERIFIED, suspicion
from sccachedist.wire.messages import CompileCommand, ProcessOutput

_SIGNALS = range(129, 193)
_WINDOWS_PATHS = "/prefix/disk-"


def reported_code(exit_code: int, cwd: str) -> int:
    """Return the ``code`` of the ``ProcessOutput`` for the exit status of a compiler that ran.

    A Unix client reads the code as a raw wait status, a Windows client as the exit code itself.

    :param exit_code: as a shell shows it: 128 plus the signal's number for a killed compiler.
    :raises BuildError: it was killed. The cause cannot be told: the memory limit, the sandbox, or its own fault.
    """
    if exit_code in _SIGNALS:
        raise BuildError(f"the compiler was killed by signal {exit_code - 128}")
    return exit_code if cwd.startswith(_WINDOWS_PATHS) else exit_code << 8


def reported(command: CompileCommand, policy: OnFailure, ended: Ended) -> ProcessOutput:
    """Return what the client is told of a compiler that ran.

    :raises CompileFailed: the client gets no result: it has to see whether the compile fails locally too.
    :raises BuildError: the client gets no result: the compiler was killed.
    """
    code = reported_code(ended.exit_code, command.cwd)
    if (why := suspicion(policy, ended.exit_code, ended.stdout, ended.stderr)) is not None:
        reason = f"a compile failed with status {ended.exit_code}: {why}"
        raise CompileFailed(reason, routine=why == VERIFIED)
    return ProcessOutput(code, ended.stdout, ended.stderr)


def required_outputs(command: CompileCommand, outputs: tuple[str, ...]) -> frozenset[str]:
    """Return the outputs that a successful compile must have made.

    They are those that the command line names; if it names none (``rustc`` gets a directory), all.
    """
    cwd = command.cwd
    told = {_place(cwd, argument.removeprefix("-o")) for argument in command.arguments}
    return frozenset(output for output in outputs if _place(cwd, output) in told) or frozenset(outputs)


def check_outputs(command: CompileCommand, outputs: tuple[str, ...], made: Collection[str], exit_code: int) -> None:
    """Check that a successful compile has made the required outputs; a failed one may leave any.

    :raises BuildError: one is missing.
    """
    if exit_code == 0 and (missing := required_outputs(command, outputs).difference(made)):
        raise BuildError(f"the compiler succeeded without making {min(missing)!r}")


@attrs.define
class OutputSizes:
    """Adds up the sizes of a job's outputs.

    :param output_bytes: the most for one.
    :param outputs_bytes: the most for all together.
    """

    output_bytes: int
    outputs_bytes: int
    _total: int = attrs.field(default=0, init=False)

    def add(self, output: str, size: int) -> None:
        """Count one more output.

        :raises LimitExceeded: it is too large, or all together are.
        """
        self._total += size
        if size > self.output_bytes:
            raise LimitExceeded("output_bytes", f"the output {output!r} is too large")
        if self._total > self.outputs_bytes:
            raise LimitExceeded("outputs_bytes", f"the outputs up to {output!r} are too large together")


def _place(cwd: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(cwd, name))
