"""The wall clock of a running farm is set by an hour, forward or back: nobody notices."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from ssl import SSLCertVerificationError
from time import monotonic

import pytest

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding
from farmkit.processes import wait_until
from farmkit.raw_client import RawClient
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.messages import ALLOC_JOB_RESPONSE, TOOLCHAIN, AllocJobFail, JobComplete, Toolchain, job_capacity
from tests.functional.conftest import with_toolchain
from tests.support.clocks import SteppedClock
from tests.support.processes import running
from tests.support.slots import all_slots_free

pytestmark = pytest.mark.functional

HOUR = 3600
#: Seconds by which the clock of a host without a battery may be wrong at first.
YEARS = 50 * 365 * 24 * HOUR
#: Seconds that a client waits for a slot here, and that a compile runs.
WAIT_SECS, COMPILE_SECS = 4, 3


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> SteppedClock:
    """The clock on the wall of both daemons."""
    return SteppedClock(tmp_path_factory.mktemp("clock") / "offset")


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory, clock: SteppedClock) -> Iterator[Farm]:
    """A farm whose clock a test sets."""
    scheduler = adding(OUR_SCHEDULER, queue=f"max_wait_secs = {WAIT_SECS}")
    server = adding(OUR_SERVER, capacity="cpus = 1")
    with Farm(tmp_path_factory.mktemp("farm"), clock.of(scheduler), clock.of(server)) as farm:
        yield farm


@pytest.fixture(autouse=True)
def _nobody_noticed(farm: Farm, clock: SteppedClock) -> Iterator[None]:
    clock.step(0)
    yield
    assert farm.status().num_servers == 1
    log = farm.scheduler.log.read_text() + farm.server.log.read_text()
    assert "silent" not in log
    assert "not claimed" not in log


@pytest.fixture(params=[-HOUR, HOUR], ids=["back", "forward"])
def step(request: pytest.FixtureRequest) -> int:
    """By how many seconds the clock is set."""
    return int(request.param)


def test_a_running_compile(farm: Farm, clock: SteppedClock, step: int, tmp_path: Path) -> None:
    """It goes on to its end, far within its time limit, and its slot is free again."""
    client, job = with_toolchain(farm, tmp_path)
    marker = f"marker-{job.job_id}-{step}"
    request = shell(f"sleep {COMPILE_SECS}; echo {marker}")
    with ThreadPoolExecutor() as aside:
        compiled = aside.submit(client.run_job, job, request, write_inputs(tmp_path / "inputs", {}))
        wait_until(lambda: running(marker) != [], 30, "it runs")
        clock.step(step)
        result = compiled.result(60)
    assert isinstance(result, JobComplete)
    assert result.output.stdout == f"{marker}\n".encode()
    all_slots_free(farm, 30)


def test_a_client_that_waits_for_a_slot(farm: Farm, clock: SteppedClock, step: int, tmp_path: Path) -> None:
    """It is sent back when it has waited for as long as it should, no sooner and no later."""
    client, archive = RawClient.of(farm, strict=True), write_toolchain(tmp_path / "toolchain.tar.gz", {})
    marker = f"marker-{monotonic()}"
    request, inputs = shell(f"sleep {4 * WAIT_SECS}; echo {marker}"), write_inputs(tmp_path / "inputs", {})
    connection = HTTPConnection("127.0.0.1", farm.scheduler_port, timeout=60)
    headers = {"Authorization": f"Bearer {farm.client_token}", "Content-Type": "application/octet-stream"}
    with ThreadPoolExecutor() as aside:
        for number in range(job_capacity(1)):
            allocated = client.slot(id_of(archive))
            if allocated.need_toolchain:
                client.submit_toolchain(allocated.job_alloc, archive)
            aside.submit(client.run_job, allocated.job_alloc, request, inputs)
            wait_until(lambda number=number: len(running(marker)) > number, 30, "it runs")  # type: ignore[misc]
        began = monotonic()
        connection.request("POST", "/api/v1/scheduler/alloc_job", encode(TOOLCHAIN, Toolchain("0" * 64)), headers)
        farm.status()  # the scheduler has seen what came before
        clock.step(step)
        answer = decode(ALLOC_JOB_RESPONSE, connection.getresponse().read())
        assert isinstance(answer, AllocJobFail)
        assert WAIT_SECS - 0.5 < monotonic() - began < 3 * WAIT_SECS
    connection.close()
    all_slots_free(farm, 30)


@pytest.mark.parametrize("wrong", [-YEARS, YEARS], ids=["behind", "ahead"])
def test_a_start_before_the_clock_is_set(wrong: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A certificate of another time is trusted by no client; there is another soon after the clock is set."""
    folder = tmp_path_factory.mktemp("farm")
    clock = SteppedClock(folder / "offset")
    clock.step(wrong)
    with Farm(folder, OUR_SCHEDULER, clock.of(OUR_SERVER)) as farm:
        client, archive = RawClient.of(farm, strict=True), write_toolchain(folder / "toolchain.tar.gz", {})
        with pytest.raises(SSLCertVerificationError, match="expired" if wrong < 0 else "not yet valid"):
            client.ready(archive, id_of(archive))
        clock.step(0)

        def is_trusted() -> bool:
            with suppress(SSLCertVerificationError):
                job = client.ready(archive, id_of(archive))
                return isinstance(client.run_job(job, shell("true"), write_inputs(folder / "inputs", {})), JobComplete)
            return False

        wait_until(is_trusted, 60, "clients trust the certificate")
