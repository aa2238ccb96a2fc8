"""Row 45: a job takes memory that no limit on a process knows of, with control groups and without."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, shell
from tests.hostile.attacks import NO_INPUTS
from tests.hostile.neighbour import Neighbour

LIMIT = 200_000_000
KINDS = ("private", "shared", "dropped", "memfd", "unmapped", "sysv", "semaphores", "thread")


@pytest.fixture(scope="module")
def server_tables() -> Mapping[str, str]:
    """Jobs may take little memory, and more processes than share it."""
    return {"limits": f"job_memory_bytes = {LIMIT}"}


# With control groups the kernel ends what it likes in the job's: also the worker, which belongs to that job alone.
SAID = ("(limit: job_memory_bytes)", "a sandbox worker ended before its time")


@pytest.mark.parametrize("kind", KINDS)
def test_row_45_memory_of_many_or_of_no_process(neighbour: Neighbour, reaching: Path, kind: str) -> None:
    """The job is ended, its client compiles locally, and the log says why; as nobody there are no control groups."""
    log = neighbour.farm.server.log
    before = len(log.read_text())
    with neighbour.served(45):
        job = neighbour.attacker.ready(reaching, id_of(reaching))
        said = neighbour.attacker.run(job, shell(f"exec reaching memory {kind}"), NO_INPUTS)
    assert said.status == 500, said
    assert any(words in log.read_text()[before:] for words in SAID)
    neighbour.unharmed()
