"""What the end of a compile means to the client: rules 2 to 4 of "What decides the fate of a user's build".

Pure decisions; it does not know how the compile was run. Which failed compiles the client repeats, decides
:mod:`sccachedist.sandbox.result.failure_policy`; what a successful one must have made,
:mod:`sccachedist.sandbox.result.outputs`.

First of four stations of an error on its way to a status: it is raised here,
:mod:`sccachedist.builders.worker_protocol` carries it to the daemon, :mod:`sccachedist.server.job_runner` takes it, and
:mod:`sccachedist.web.responses` has the status: a 5xx, so that the client compiles locally.
"""

from sccachedist.errors import BuildError, CompileFailed
from sccachedist.outcomes import SentLocal
from sccachedist.policy import OnFailure
from sccachedist.sandbox.processes import Ended
from sccachedist.sandbox.result.failure_policy import suspicion
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
        raise BuildError(SentLocal.SIGNAL, f"the compiler was killed by signal {exit_code - 128}")
    return exit_code if cwd.startswith(_WINDOWS_PATHS) else exit_code << 8


def reported(command: CompileCommand, policy: OnFailure, ended: Ended) -> ProcessOutput:
    """Return what the client is told of a compiler that ran.

    :raises CompileFailed: the client gets no result: it has to see whether the compile fails locally too.
    :raises BuildError: the client gets no result: the compiler was killed.
    """
    code = reported_code(ended.exit_code, command.cwd)
    if (why := suspicion(policy, ended.exit_code, ended.stdout, ended.stderr)) is not None:
        kind, text = why
        raise CompileFailed(kind, f"a compile failed with status {ended.exit_code}: {text}")
    return ProcessOutput(code, ended.stdout, ended.stderr)
