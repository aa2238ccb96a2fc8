"""Row 21: compiles that take the time, the memory or the processes of their host."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, shell
from farmkit.farm import Farm
from farmkit.launch import OUR_SERVER, adding
from farmkit.processes import wait_until
from tests.functional.conftest import running_farm
from tests.hostile.attacks import NO_INPUTS
from tests.hostile.conftest import asleep
from tests.hostile.victim import Victim

SECS = 8
#: A number of seconds that no other program of this machine sleeps.
LONG = "31415"
LIMITS = f"job_secs = {SECS}\njob_memory_bytes = 100000000\njob_processes = 50\n"


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm whose jobs may take little."""
    yield from running_farm(Farm(tmp_path_factory.mktemp("greed"), launch_server=adding(OUR_SERVER, limits=LIMITS)))


GREEDY = {
    "time": f"/bin/busybox sleep {LONG}",
    "time of many": f"for n in 1 2 3 4 5; do /bin/busybox sleep {LONG} & done; wait",
    "time of orphans": f"(/bin/busybox setsid /bin/busybox sleep {LONG} &) ; exec /bin/busybox sleep {LONG}",
    "time of the deaf": f"trap '' TERM INT HUP; /bin/busybox sleep {LONG}; /bin/busybox sleep {LONG}",
    "memory": "/bin/busybox dd if=/dev/zero of=/dev/null bs=300M count=1",
    "memory of files": "/bin/busybox dd if=/dev/zero of=/filled bs=1M count=300",
    "processes": f"n=0; while [ $n -lt 200 ]; do /bin/busybox sleep {LONG} & n=$((n+1)); done; wait",
}


@pytest.mark.parametrize("greed", GREEDY)
def test_row_21_a_job_that_takes_too_much(farm: Farm, archive: Path, greed: str) -> None:
    """It is killed with all that it has started, its client compiles locally, and the next job is served at once."""
    victim = Victim(farm, archive, id_of(archive))
    job = victim.attacker.ready(archive, victim.toolchain)
    began = time.monotonic()
    said = victim.attacker.run(job, shell(GREEDY[greed]), NO_INPUTS)
    assert said.status == 500, said
    assert time.monotonic() - began < SECS + 20
    wait_until(lambda: not asleep(LONG), 10, "every process of the job is gone")
    victim.unharmed()
