"""What became of compiles by the published client: one line a job at each daemon, and a record, in the words of all.

The commands say the same.
"""

import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

from farmkit.busybox_jobs import BUSYBOX, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PROGRAMS, adding
from farmkit.processes import Command, wait_until
from farmkit.published_client import Client, Override
from sccachedist.outcomes import Outcome, Refusal, SentLocal, Suspicion, Word
from sccachedist.records import documents
from tests.functional.conftest import running_farm
from tests.scheduler.test_farm_routes import ROUTES
from tests.support.farm_api import farm_document
from tests.support.processes import running

pytestmark = pytest.mark.functional

LINE = re.compile(
    r"job (\d+) of [0-9.]+: (\S+), ([0-9.]+) s \((.*)\), ([0-9.]+) s of CPU, ([0-9]+) MiB: (\S+) ([^\s:]+)(.*)"
)
JOB_SECS = 8
RECORDS, SERVER_RECORDS = "jobs.jsonl", "server-jobs.jsonl"
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
#: What ``why`` says of them, and the word whose sentences it shows.
WHY: dict[str, tuple[str, Word]] = {
    "good": ("compiled", Outcome.COMPILED),
    "wrong": ("compile_error", Outcome.COMPILE_ERROR),
    "embeds": ("sent_local: suspicious (missing_file)", Suspicion.MISSING_FILE),
    "slow": ("sent_local: limit (job_secs)", SentLocal.LIMIT),
    "left": ("sent_local: client_gone", SentLocal.CLIENT_GONE),
}
#: What it may say of the one that takes too much memory.
MEMORY = (SentLocal.LIMIT, SentLocal.SIGNAL, Suspicion.NO_MEMORY, Suspicion.NO_SPACE, Suspicion.KILLED)
SCCACHEDIST = str(PROGRAMS / "sccachedist")


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
    """A farm whose daemons tell of each job, and which reports mistakes of the user."""
    folder = tmp_path_factory.mktemp("farm")
    records = f'file = "{folder / RECORDS}"'
    scheduler = adding(OUR_SCHEDULER, log="jobs = true", records=records, queue="max_wait_secs = 1")
    launch = adding(
        OUR_SERVER,
        capacity="cpus = 2",
        log="jobs = true",
        records=f'file = "{folder / SERVER_RECORDS}"',
        policy='on_failure = "suspicious"',
        limits=f"job_memory_bytes = 200_000_000\njob_secs = {JOB_SECS}",
        shutdown="grace_secs = 1",
    )
    yield from running_farm(Farm(folder, scheduler, launch))


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
    for name in ("slow", "slow2", "slow3", "homeless", "left"):
        (tmp_path / f"{name}.c").write_text(f"int {name};\n")
    usual = Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains)
    with usual as client, slow_client(farm, tmp_path) as patient, ThreadPoolExecutor() as aside:
        for name in SOURCES:
            ended = client.compiling(command(name), tmp_path).run(300)
            assert (ended.returncode == 0) is (name != "wrong"), ended
        for name in ("slow", "slow2", "slow3"):  # as many as there are slots
            aside.submit(patient.compiling(command(name), tmp_path).run)
        wait_until(lambda: len(running("slow-compiler")) == 3, 60, "all slots are taken")
        assert client.compiling(command("homeless"), tmp_path).run(300).returncode == 0
        wait_until(lambda: {"slow", "slow2", "slow3"} < told(farm).keys(), 60, "the limit is hit")
        wait_until(lambda: running("slow-compiler") == [], 60, "these compiles are gone")
        aside.submit(patient.compiling(command("left"), tmp_path).run)
        wait_until(lambda: running("slow-compiler") != [], 60, "the compile runs")
        patient.daemon.kill()
        wait_until(lambda: "left" in told(farm), 60, "the compile is over")
        why_each(client, tmp_path)
    lines = told(farm)
    for name, ending in ENDINGS.items():
        assert re.fullmatch(ending, lines[name].ending), lines[name]
        assert lines[name].compiler == "gcc"
    assert lines["slow"].ending == "sent_local/limit/job_secs"
    assert "a job took more than" in lines["slow"].detail
    assert lines["left"].ending == "sent_local/client_gone"
    assert lines["slow"].compiler == lines["left"].compiler == "slow-compiler"


def command(name: str) -> tuple[str, ...]:
    return ("gcc", "-c", f"{name}.c", "-o", f"{name}.o")


def slow_client(farm: Farm, folder: Path) -> Client:
    """A client whose compiler takes five minutes."""
    slow = "/bin/slow-compiler"
    archive = write_toolchain(folder / "slow.tar.gz", {slow: f"{BUSYBOX} sleep 300; :"})
    overridden = Override(Path(shutil.which("gcc") or ""), archive, slow)
    return Client(folder / "patient", farm.scheduler_url, farm.client_token, folder / "toolchains", [overridden])


def why_each(client: Client, folder: Path) -> None:
    """A developer asks why, with nothing but the configuration of the client: each has its sentence and its mend."""
    for name, (words, word) in WHY.items():
        said = why(client, folder, name, words)
        assert word.means in said
        assert word.mend in said
    said = why(client, folder, "large", "large.o, ")
    assert any(word.means in said and word.mend in said for word in MEMORY), said
    refused = why(client, folder, "homeless", "got no slot: queue_timeout")
    assert Refusal.QUEUE_TIMEOUT.means in refused
    assert Refusal.QUEUE_TIMEOUT.mend in refused


def why(client: Client, folder: Path, name: str, words: str) -> str:
    """What the command says of a compile, as one line, when it says these words: an end is told within a second."""

    def ask() -> str:
        return " ".join(Command((SCCACHEDIST, "why", f"{name}.o"), client.environment, folder).run().stdout.split())

    wait_until(lambda: words in ask(), 60, f"why {name}: {words}")
    return ask()


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


def records(farm: Farm) -> dict[str, Any]:
    """The records of jobs with an output, by its name."""
    rows = farm_document(farm, "jobs", documents.JobsDocument)["jobs"]
    return {Path(row["output"]).stem: row for row in rows if row["output"]}


def test_the_records(farm: Farm) -> None:
    """The scheduler remembers of each job what its build server told, and its phases are its time."""
    wait_until(lambda: records(farm).keys() == told(farm).keys(), 10, "all ends are reported")
    for name, row in records(farm).items():
        ending = "/".join(filter(None, (row["outcome"], row["reason"], row["kind"])))
        assert ending == told(farm)[name].ending
        seconds = row["ended"] - row["asked"]
        assert abs(sum(row["phases"].values()) - seconds) <= 0.05 * seconds, row
        assert (row["server"], len(row["toolchain"])) == (str(farm.server_id), 64)
    (why,) = farm_document(farm, "why", documents.WhyDocument, name="slow.o")["jobs"]
    assert (why["reason"], why["kind"]) == ("limit", "job_secs")
    one = farm_document(farm, f"jobs/{why['id'][-12:]}", documents.JobDocument)
    assert one["job"] == why


@pytest.mark.parametrize("path", ROUTES)
def test_documents(farm: Farm, path: str) -> None:
    """Each document has its shape, and is not empty."""
    found = farm_document(farm, path, ROUTES[path])
    assert path == "why" or any(found[key] for key in (path, "traceEvents", "recent") if key in found)


def test_lines_of_the_scheduler(farm: Farm) -> None:
    """The log of the scheduler and the file of records have the same jobs, by the same numbers."""
    numbers = {row["id"] for row in records(farm).values()}

    def written() -> set[str]:
        return {json.loads(line)["id"] for line in (farm.folder / RECORDS).read_text().splitlines()}

    wait_until(lambda: numbers <= written(), 10, "the records are written")
    assert numbers <= set(re.findall(r" job (\d+) of [0-9.]+: \S+, ", farm.scheduler.log.read_text()))


def test_a_build_server_that_stops(farm: Farm, tmp_path: Path) -> None:
    """Of a job that does not end in time both daemons say so, though the build server is gone; comes last."""
    (tmp_path / "late.c").write_text("int late;\n")
    with slow_client(farm, tmp_path) as patient, ThreadPoolExecutor() as aside:
        compiling = aside.submit(patient.compiling(command("late"), tmp_path).run)
        wait_until(lambda: running("slow-compiler") != [], 60, "the compile runs")
        farm.server.stop(60)
        assert compiling.result(60).returncode == 0
    assert told(farm)["late"].ending == "sent_local/shutdown"
    assert records(farm)["late"]["reason"] == "shutdown"
    kept = [json.loads(line) for line in (farm.folder / SERVER_RECORDS).read_text().splitlines()]
    assert {Path(row["output"]).stem: row["outcome"] for row in kept} == {
        name: line.ending.partition("/")[0] for name, line in told(farm).items()
    }
