"""What became of compiles by the published client, as the build server tells: one line a job, in the words of all."""

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest

from farmkit.busybox_jobs import BUSYBOX, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding
from farmkit.processes import wait_until
from farmkit.published_client import Client, Override
from tests.functional.conftest import running_farm
from tests.support.processes import running

pytestmark = pytest.mark.functional

LINE = re.compile(
    r"job (\d+) of [0-9.]+: (\S+), ([0-9.]+) s \((.*)\), ([0-9.]+) s of CPU, ([0-9]+) MiB: (\S+) ([^\s:]+)(.*)"
)
JOB_SECS = 8
#: A compile that takes some tenths of a second, and more memory than a worker has.
SOURCE = "#define T(...) " + 8 * "__VA_ARGS__ " + "\nint x[] = {T(T(T(T(T(T(1,))))))};\n"
SOURCES = {
    "good": SOURCE,
    "wrong": "int x = y;\n",
    "embeds": 'asm(".incbin \\"data.bin\\"");\n',
    "large": "int large[64 << 20] = {1};\n",
}
#: What becomes of them; memory may be refused before the limit is hit.
ENDINGS = {
    "good": r"compiled",
    "wrong": r"compile_error",
    "embeds": r"sent_local/suspicious/missing_file",
    "large": r"sent_local/(limit/job_memory_bytes|signal|suspicious/(no_memory|no_space|killed))",
}


@attrs.frozen
class Line:
    """What the build server has told of one job."""

    ending: str
    seconds: float
    phases: dict[str, float]
    cpu: float
    memory: int
    compiler: str
    detail: str


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm whose build server tells of each job, and reports mistakes of the user."""
    launch = adding(
        OUR_SERVER,
        log="jobs = true",
        policy='on_failure = "suspicious"',
        limits=f"job_memory_bytes = 200_000_000\njob_secs = {JOB_SECS}",
    )
    yield from running_farm(Farm(tmp_path_factory.mktemp("farm"), OUR_SCHEDULER, launch))


def told(farm: Farm) -> dict[str, Line]:
    """What is told of each job, by the name of its output."""
    found = {}
    for _, ending, seconds, phases, cpu, memory, compiler, output, detail in LINE.findall(farm.server.log.read_text()):
        times = dict(part.split() for part in phases.split(", ")) if phases else {}
        numbers = {phase: float(secs) for phase, secs in times.items()}
        found[Path(output).stem] = Line(ending, float(seconds), numbers, float(cpu), int(memory), compiler, detail)
    return found


def test_what_became_of_compiles(farm: Farm, tmp_path: Path, toolchains: Path) -> None:
    """A good one, a mistake, a file that was not sent, too much memory, too much time, and a client that goes away."""
    for name, source in SOURCES.items():
        (tmp_path / f"{name}.c").write_text(source)
    (tmp_path / "data.bin").write_bytes(b"data")
    for name in ("slow", "left"):
        (tmp_path / f"{name}.c").write_text(f"int {name};\n")
    slow = "/bin/slow-compiler"
    archive = write_toolchain(tmp_path / "slow.tar.gz", {slow: f"{BUSYBOX} sleep 300; :"})
    overridden = Override(Path(shutil.which("gcc") or ""), archive, slow)
    clients = (
        Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains),
        Client(tmp_path / "patient", farm.scheduler_url, farm.client_token, tmp_path / "toolchains", [overridden]),
    )

    def command(name: str) -> tuple[str, ...]:
        return ("gcc", "-c", f"{name}.c", "-o", f"{name}.o")

    with clients[0] as client, clients[1] as patient, ThreadPoolExecutor() as aside:
        aside.submit(patient.compiling(command("slow"), tmp_path).run)
        for name in SOURCES:
            ended = client.compiling(command(name), tmp_path).run(300)
            assert (ended.returncode == 0) is (name != "wrong"), ended
        wait_until(lambda: "slow" in told(farm), 60, "the limit is hit")
        aside.submit(patient.compiling(command("left"), tmp_path).run)
        wait_until(lambda: running("slow-compiler") != [], 60, "the compile runs")
        patient.daemon.kill()
        wait_until(lambda: "left" in told(farm), 60, "the compile is over")
    lines = told(farm)
    for name, ending in ENDINGS.items():
        assert re.fullmatch(ending, lines[name].ending), lines[name]
        assert lines[name].compiler == "gcc"
    assert lines["slow"].ending == "sent_local/limit/job_secs"
    assert "a job took more than" in lines["slow"].detail
    assert lines["left"].ending == "sent_local/client_gone"
    assert lines["slow"].compiler == lines["left"].compiler == "slow-compiler"


def test_where_the_time_went(farm: Farm) -> None:
    """The phases of a job are its time; what its compiler took is what the kernel says."""
    lines = told(farm)
    for line in lines.values():
        assert abs(sum(line.phases.values()) - line.seconds) <= 0.05 * line.seconds + 0.01, line
    good = lines["good"]
    # Two programs, one after the other; and bubblewrap, which may have been at work before.
    assert 0.05 < good.cpu < good.phases["compile"] + 0.1
    assert 30 < good.memory < 1000
    assert "toolchain_upload" in good.phases or "toolchain_wait" in good.phases
    assert JOB_SECS - 1 < lines["slow"].phases["compile"] < JOB_SECS + 20
