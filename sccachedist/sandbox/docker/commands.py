"""The command lines of ``docker`` for a job, and the script that runs inside its container: pure functions.

The container itself unpacks the job's inputs, from its stdin: hostile inputs stay inside. The script also gathers the
results there: a file with the exit code, and one for each output that exists. How the programs are run is not known
here.
"""

import posixpath
import shlex
from collections.abc import Iterable

from sccachedist.builders.worker_protocol import SANDBOX_PREFIX, JobLimits
from sccachedist.sandbox.beneath import components
from sccachedist.sandbox.command import directories, env_arguments, inside, refuse_nul, temporary_directories
from sccachedist.sandbox.result.outputs import returned_outputs
from sccachedist.wire.messages import CompileCommand

#: A busybox in every image and a script in every container, under names that no toolchain uses.
BUSYBOX = "/.sccachedist/busybox"
SCRIPT = "/.sccachedist/run"
#: Where a container leaves its exit code and its outputs. The code's name sorts first, so it is read first.
RESULTS = "/.sccachedist/results"
EXIT_CODE = "exit-code"
OUTPUT = "output-"

ADVICE = "install Docker, or put its docker command on the PATH"

_CONFINED = (
    *("--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--ulimit", "core=0"),
    # The worker reads the output at once; Docker need not keep it.
    *("--log-driver", "none"),
)
_BEGIN = f"{BUSYBOX} tar -x -f - -C / && exec {BUSYBOX} sh {SCRIPT}"
_FIND_BUSYBOX = 'exec busybox cat "$(busybox which busybox)"'
# A directory in the results stands for an output that is no regular file.
_GATHER = """gather() {
    [ -e "$2" ] || return 0
    if [ -f "$2" ]; then "$b" cp -L "$2" "$1"; else "$b" mkdir "$1"; fi || exit
}"""


def image_name(toolchain: str, run: str) -> str:
    """Return the name of a toolchain's image, as in the published builder, with the run that has made it as its tag."""
    return f"{SANDBOX_PREFIX}{toolchain}:{run}"


def container_name(sandbox: str, run: str) -> str:
    """Return the name of a sandbox's container."""
    return f"{sandbox}-{run}"


def run_arguments(container: str, image: str, limits: JobLimits) -> list[str]:
    """Return the command line that runs a job; its stdin gets a tar of the job's inputs and its script.

    Standard output and error are the compile's. The container's first process is a shell, never the compile: the first
    process does not get signals that would end any other.
    """
    run = ["docker", "run", "--interactive", "--pull", "never", "--name", container, *_CONFINED]
    run += ["--pids-limit", str(limits.job_processes), "--memory", str(limits.job_memory_bytes)]
    return [*run, image, BUSYBOX, "sh", "-c", _BEGIN]


def busybox_arguments(container: str, image: str) -> list[str]:
    """Return the command line that writes the busybox of an image to stdout."""
    return ["docker", "run", "--rm", "--name", container, *_CONFINED, image, "busybox", "sh", "-c", _FIND_BUSYBOX]


def job_script(command: CompileCommand, outputs: tuple[str, ...]) -> str:
    """Return the script that runs a compile. It writes the exit code's file only if every other step succeeded.

    :raises BuildError: an argument holds NUL, or ``env`` would take the executable for a variable.
    :raises DecodeError: a path leads out of the root.
    """
    needed = [posixpath.join("/", directory) for directory in directories(command, outputs)]
    for directory in needed:
        components(directory.encode())
    returned = frozenset(returned_outputs(command, outputs))
    temporary = [posixpath.join("/", directory) for directory in temporary_directories(command)]
    run = [BUSYBOX, "env", *env_arguments(command)]
    refuse_nul([*run, *outputs])
    lines = [
        f"b={BUSYBOX}",
        _GATHER,
        f'"$b" rm -rf {RESULTS} && "$b" mkdir -p {RESULTS} {_quoted(needed)} && cd {_quoted(needed[:1])} || exit',
        *([f'"$b" mkdir -p {_quoted(temporary)} 2>/dev/null'] if temporary else []),
        # The trap runs only if busybox cannot be executed: a successful exec removes it.
        f"(trap '\"$b\" rm -r {RESULTS}' EXIT; exec {_quoted(run)} </dev/null)",
        "code=$?",
        *(_gather(index, inside(command, output)) for index, output in enumerate(outputs) if output in returned),
        f'echo "$code" >{RESULTS}/{EXIT_CODE}',
    ]
    return "\n".join(lines) + "\n"


def results_arguments(container: str) -> list[str]:
    """Return the command line that writes a tar of a container's results to stdout."""
    return ["docker", "cp", f"{container}:{RESULTS}", "-"]


def _gather(index: int, place: str) -> str:
    return f"gather {RESULTS}/{OUTPUT}{index} {_quoted([posixpath.join('/', place)])}"


def _quoted(words: Iterable[str]) -> str:
    return " ".join(map(shlex.quote, words))
