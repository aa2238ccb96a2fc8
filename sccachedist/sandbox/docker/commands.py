"""From a job to what ``docker`` is told and to what runs inside its container: pure functions.

A container unpacks a job's inputs by itself, from its stdin, so that whatever is in them is kept in it. What the
compile has left is gathered there too: a file with the exit code, and one for each output that there is.
"""

import posixpath
import shlex
from collections.abc import Iterable

from sccachedist.builders.worker_protocol import SANDBOX_PREFIX, JobLimits
from sccachedist.sandbox.archive.beneath import components
from sccachedist.sandbox.command import directories, env_arguments, inside, refuse_nul
from sccachedist.wire.messages import CompileCommand

#: A busybox and a script in every image and container, under names that no toolchain has.
BUSYBOX = "/.sccachedist/busybox"
SCRIPT = "/.sccachedist/run"
#: Where a container leaves its exit code and its outputs. The code's name sorts first: so it is read first.
RESULTS = "/.sccachedist/results"
EXIT_CODE = "exit-code"
OUTPUT = "output-"

ADVICE = "install Docker, or put its docker command on the PATH"

_CONFINED = (
    *("--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--ulimit", "core=0"),
    # What is written is read as it comes; the engine is to keep none of it.
    *("--log-driver", "none"),
)
_BEGIN = f"{BUSYBOX} tar -x -f - -C / && exec {BUSYBOX} sh {SCRIPT}"
_FIND_BUSYBOX = 'exec busybox cat "$(busybox which busybox)"'
# A directory says that something is there that is no regular file.
_GATHER = """gather() {
    [ -e "$2" ] || return 0
    if [ -f "$2" ]; then "$b" cp -L "$2" "$1"; else "$b" mkdir "$1"; fi || exit
}"""


def image_name(toolchain: str) -> str:
    """Give the name of a toolchain's image, as the published builder calls it."""
    return f"{SANDBOX_PREFIX}{toolchain}"


def run_arguments(sandbox: str, toolchain: str, limits: JobLimits) -> list[str]:
    """Give the command line that runs a job: a tar of its inputs and its script goes to stdin.

    Standard output and error are the compile's. The first process, a shell, never is the compile: the first one of a
    container does not get the signals that would end any other.
    """
    run = ["docker", "run", "--interactive", "--pull", "never", "--name", sandbox, *_CONFINED]
    run += ["--pids-limit", str(limits.job_processes), "--memory", str(limits.job_memory_bytes)]
    return [*run, image_name(toolchain), BUSYBOX, "sh", "-c", _BEGIN]


def busybox_arguments(sandbox: str, image: str) -> list[str]:
    """Give the command line that writes the busybox of an image to stdout."""
    return ["docker", "run", "--rm", "--name", sandbox, *_CONFINED, image, "busybox", "sh", "-c", _FIND_BUSYBOX]


def job_script(command: CompileCommand, outputs: tuple[str, ...]) -> str:
    """Give the script that runs a compile. The file with the exit code is there when all went well but the compile.

    :raises BuildError: some text cannot be an argument.
    :raises DecodeError: a path leads out of the root.
    """
    needed = [posixpath.join("/", directory) for directory in directories(command, outputs)]
    for directory in needed:
        components(directory.encode())
    run = [BUSYBOX, "env", *env_arguments(command)]
    refuse_nul([*run, *outputs])
    lines = [
        f"b={BUSYBOX}",
        _GATHER,
        f'"$b" rm -rf {RESULTS} && "$b" mkdir -p {RESULTS} {_quoted(needed)} && cd {_quoted(needed[:1])} || exit',
        # The trap is for an env that cannot be executed: once it is, it is gone.
        f"(trap '\"$b\" rm -r {RESULTS}' EXIT; exec {_quoted(run)} </dev/null)",
        "code=$?",
        *(_gather(index, inside(command, output)) for index, output in enumerate(outputs)),
        f'echo "$code" >{RESULTS}/{EXIT_CODE}',
    ]
    return "\n".join(lines) + "\n"


def results_arguments(sandbox: str) -> list[str]:
    """Give the command line that writes a tar of what a container has left to stdout."""
    return ["docker", "cp", f"{sandbox}:{RESULTS}", "-"]


def _gather(index: int, place: str) -> str:
    return f"gather {RESULTS}/{OUTPUT}{index} {_quoted([posixpath.join('/', place)])}"


def _quoted(words: Iterable[str]) -> str:
    return " ".join(map(shlex.quote, words))
