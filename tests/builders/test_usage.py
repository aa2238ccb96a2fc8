"""What a job took, as its builder tells it: real sandboxes of every kind, and jobs that take a known amount."""

import shutil
from collections.abc import AsyncIterator

import attrs
import pytest

from farmkit.fakes import FakeWatch
from sccachedist.errors import LimitExceeded
from sccachedist.wire.usage import Usage
from tests.builders.farms import IDENTITIES, KINDS, Farm, async_fixture, farm_of_kind, in_reactor

pytestmark = pytest.mark.functional

SECOND, MIB = 10**9, 2**20
#: Works until its own process has had 0.3 s of CPU: fields 14 and 15 of its line are hundredths of a second.
BURN = (
    "burn() { taken=0; until [ $taken -ge 30 ]; do read -r line < /proc/self/stat; set -- $line;"
    " taken=$(($14 + $15)); done; };"
).replace("$14 + $15", "${14} + ${15}")
#: Has 64 MiB in memory at a time.
TOUCH = "dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null"
OVERLAYS = KINDS[: len(IDENTITIES)]


@async_fixture(scope="module", params=KINDS)
async def farm(request: pytest.FixtureRequest) -> AsyncIterator[Farm]:
    made = await farm_of_kind(request.param, request)
    yield made
    await made.builder.stop()
    shutil.rmtree(made.place)


async def usage(farm: Farm, script: str, outputs: tuple[str, ...] = (), limit: str = "") -> Usage:
    """What a job took that succeeds, or that a limit ends."""
    watch = FakeWatch()
    job = attrs.evolve(farm.job(script, outputs), watch=watch)
    if limit:
        with pytest.raises(LimitExceeded) as caught:
            await farm.builder.run(job)
        assert caught.value.limit == limit
    else:
        await farm.builder.run(job)
    (took,) = watch.usages
    assert watch.begun_count == 1
    return took


@in_reactor
async def test_times_and_sizes(farm: Farm) -> None:
    """Of every kind: where the time went, and how much came in and went out."""
    took = await usage(farm, "sleep 0.3; head -c 70000 /dev/zero > a.o; touch a.d", ("a.o", "a.d"))
    assert 0.3 * SECOND <= took.run_ns < 20 * SECOND
    assert min(took.sandbox_ns, took.unpack_ns, took.collect_ns) > 0
    assert took.output_bytes == 70_000
    assert 4096 <= took.input_bytes <= 5 * 4096  # a file of 15 bytes, and directories


@in_reactor
async def test_sizes_of_a_job_that_a_limit_ends(farm: Farm) -> None:
    """What was known by then."""
    took = await usage(farm, "sleep 0.3; yes", limit="stdio_bytes")
    assert took.run_ns >= 0.3 * SECOND
    assert (took.collect_ns, took.output_bytes) == (0, 0)
    assert took.input_bytes > 0


@pytest.mark.parametrize("farm", ["docker", "pot"], indirect=True)
@in_reactor
async def test_what_cannot_be_told(farm: Farm) -> None:
    """Processes that are no worker's own are not measured, and nothing is made up."""
    took = await usage(farm, TOUCH)
    assert (took.cpu_user_ns, took.cpu_system_ns, took.peak_memory_bytes) == (0, 0, 0)


@pytest.mark.parametrize("farm", OVERLAYS, indirect=True)
@pytest.mark.parametrize(
    "script",
    [
        "burn",
        "sh -c '" + BURN + "burn'",
        "mkfifo done; (sh -c '" + BURN + "burn; echo > done' &); cat done",
    ],
    ids=["own", "a child's", "an orphan's"],
)
@in_reactor
async def test_cpu(farm: Farm, script: str) -> None:
    """0.3 s of CPU are reported as that and little more, whichever process of the job took it."""
    took = await usage(farm, BURN + script)
    assert 0.29 * SECOND <= took.cpu_user_ns + took.cpu_system_ns < 0.6 * SECOND
    assert took.run_ns >= 0.29 * SECOND


@pytest.mark.parametrize("farm", OVERLAYS, indirect=True)
@in_reactor
async def test_memory(farm: Farm) -> None:
    """64 MiB that were touched are reported as that and little more."""
    assert 64 * MIB <= (await usage(farm, TOUCH)).peak_memory_bytes < 70 * MIB


@pytest.mark.parametrize("farm", OVERLAYS, indirect=True)
@in_reactor
async def test_each_job_by_itself(farm: Farm) -> None:
    """A job that only waits takes next to nothing, whatever its worker has run before."""
    await usage(farm, BURN + "burn;" + TOUCH)
    for _ in range(3):
        took = await usage(farm, "sleep 0.3")
        assert 0 < took.cpu_user_ns + took.cpu_system_ns < 0.2 * SECOND
        assert 0 < took.peak_memory_bytes < 60 * MIB


@pytest.mark.parametrize("farm", OVERLAYS, indirect=True)
@in_reactor
async def test_a_limit(farm: Farm) -> None:
    """A job that a limit ends tells what it took, its killed processes included."""
    took = await usage(farm, f"{BURN} burn; {TOUCH}; yes", limit="stdio_bytes")
    assert took.cpu_user_ns + took.cpu_system_ns >= 0.29 * SECOND
    assert took.peak_memory_bytes >= 64 * MIB
    held = "dd if=/dev/zero bs=64M count=1 | sleep 20"
    took = await usage(farm, f"for each in 1 2 3 4; do {held} & done; wait", limit="job_memory_bytes")
    assert took.peak_memory_bytes >= 40 * MIB  # of one: all together have 200 at most


@pytest.mark.parametrize("farm", OVERLAYS, indirect=True)
@in_reactor
async def test_a_sandbox_that_stood_ready(farm: Farm) -> None:
    """It is found out by who needs it: one job after the other with one toolchain finds one soon."""
    for _ in range(20):
        if (took := await usage(farm, "true")).prewarmed:
            break
    else:
        raise AssertionError("no sandbox stood ready")
    assert took.sandbox_ns < SECOND


@pytest.mark.parametrize("farm", OVERLAYS, indirect=True)
@in_reactor
async def test_a_small_job(farm: Farm) -> None:
    """What made its sandbox is not counted."""
    took = await usage(farm, "true")
    assert 0 < took.peak_memory_bytes < 4 * MIB
    assert took.cpu_user_ns + took.cpu_system_ns < 0.02 * SECOND
