"""What Docker is told, and what runs inside a container."""

import subprocess
from pathlib import Path

import pytest

from sccachedist.builders.worker_protocol import JobLimits, limits_from
from sccachedist.config import ServerLimits
from sccachedist.errors import BuildError, DecodeError
from sccachedist.sandbox.docker.commands import job_script, run_arguments
from sccachedist.wire.messages import CompileCommand

COMMAND = CompileCommand("/usr/bin/gcc", ("-c", "a b.c"), (("LANG", "C"), ("A=B", "x"), ("", "x")), "/work")
LIMITS = limits_from(ServerLimits(job_memory_bytes=6, job_processes=7), JobLimits, scratch_bytes=1)


def test_the_whole_command_line() -> None:
    """A container has no network, no rights and few processes; the engine keeps nothing of what it writes."""
    assert run_arguments("sccache-builder-x", "sccache-builder-beef:run", LIMITS) == [
        *("docker", "run", "--interactive", "--pull", "never", "--name", "sccache-builder-x"),
        *("--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--ulimit", "core=0", "--log-driver", "none", "--pids-limit", "7", "--memory", "6"),
        "sccache-builder-beef:run",
        *("/.sccachedist/busybox", "sh", "-c"),
        "/.sccachedist/busybox tar -x -f - -C / && exec /.sccachedist/busybox sh /.sccachedist/run",
    ]


def test_the_whole_script() -> None:
    """Directories, the compile with its own variables, what it has left, and last of all its exit code."""
    results = "/.sccachedist/results"
    assert job_script(COMMAND, ("a.o", "/out/a b.d")).splitlines() == [
        "b=/.sccachedist/busybox",
        "gather() {",
        '    [ -e "$2" ] || return 0',
        '    if [ -f "$2" ]; then "$b" cp -L "$2" "$1"; else "$b" mkdir "$1"; fi || exit',
        "}",
        f'"$b" rm -rf {results} && "$b" mkdir -p {results} /work /work /out && cd /work || exit',
        f"""(trap '"$b" rm -r {results}' EXIT; exec /.sccachedist/busybox env -i -- """
        "LANG=C PWD=/work /usr/bin/gcc -c 'a b.c' </dev/null)",
        "code=$?",
        f"gather {results}/output-0 /work/a.o",
        f"gather {results}/output-1 '/out/a b.d'",
        f'echo "$code" >{results}/exit-code',
    ]


HOSTILE = "'; touch escaped; echo $(touch escaped) `touch escaped`\n\"\\"


def test_no_text_becomes_a_command(tmp_path: Path) -> None:
    """Whatever stands in a compile command is an argument, a name or a value."""
    hostile = CompileCommand(HOSTILE, (HOSTILE,), (("A", HOSTILE), (HOSTILE, "b")), f"/{HOSTILE}")
    subprocess.run(["/bin/sh", "-c", job_script(hostile, (HOSTILE,))], cwd=tmp_path, check=False, capture_output=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "outputs", "error"),
    [
        (CompileCommand("a\0", (), (), "/"), (), BuildError),
        (CompileCommand("a", ("\0",), (), "/"), (), BuildError),
        (CompileCommand("a", (), (("A", "\0"),), "/"), (), BuildError),
        (CompileCommand("a", (), (), "/"), ("\0",), BuildError),
        (CompileCommand("a", (), (), "/\0"), (), DecodeError),
        (CompileCommand("a", (), (), "/../b"), (), DecodeError),
        (CompileCommand("a", (), (), "/b"), ("../../c/d",), DecodeError),
        (CompileCommand("a=b", (), (), "/"), (), BuildError),
    ],
)
def test_what_is_refused(command: CompileCommand, outputs: tuple[str, ...], error: type[Exception]) -> None:
    """What no argument can hold, what leads out of the root, and what ``env`` would take for a variable."""
    with pytest.raises(error):
        job_script(command, outputs)
