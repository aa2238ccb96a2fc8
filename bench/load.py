"""The load of the job cases: ``load.c``, compiled for each run: it shares the CPUs with what it measures.

Python prepares what it sends, once for a side and a job. What the times mean is not known here.
"""

import subprocess
import tempfile
from pathlib import Path

import attrs

from bench.jobs import Work
from bench.sides import Side
from farmkit.load_client import LoadError, run_head_end
from sccachedist.wire.run_job_frame import frame

_SOURCE = Path(__file__).with_name("load.c")
_COMPILER = ("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")


@attrs.frozen
class Ran:
    """What jobs took: the seconds of each, those of all together, and the CPU seconds of the load."""

    seconds: tuple[float, ...]
    wall: float
    cpu: float


def compiled(folder: Path) -> Path:
    """The program, compiled in a folder.

    :raises subprocess.CalledProcessError: there is no OpenSSL to compile with, which ``scripts/setup.sh dev`` installs.
    """
    program = folder / "load"
    subprocess.run([*_COMPILER, "-o", program, _SOURCE, "-lssl", "-lcrypto"], check=True)
    return program


def run_jobs(program: Path, side: Side, work: Work, jobs: int, at_a_time: int) -> Ran:
    """Run jobs whose toolchain the build server has.

    :raises LoadError: one did not end well.
    """
    client, server = side.client, side.farm.server_id
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        body = frame(work.request, work.inputs.read_bytes())
        Path(folder, "alloc").write_bytes(client.alloc_request(work.toolchain))
        Path(folder, "head").write_bytes(run_head_end(len(body)))
        Path(folder, "body").write_bytes(body)
        Path(folder, "certificate").write_text(client.certificate(server))
        ports = str(client.scheduler[1]), str(server.port)
        command = [str(program), *ports, folder, str(jobs), str(at_a_time)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise LoadError(ended.stderr)
    *seconds, wall, cpu = map(float, ended.stdout.split())
    return Ran(tuple(seconds), wall, cpu)
