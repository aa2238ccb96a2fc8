"""What a gateway sends for a place: what it costs, and for how long."""

from pathlib import Path

import pytest

from sccachedist.budgets import Budget, Party
from sccachedist.config import WorkerLimits
from sccachedist.errors import LimitExceeded
from sccachedist.wire.gateway import WORKER_JOB, head
from sccachedist.worker.reception import Reception
from tests.worker.gateways import job


@pytest.mark.parametrize(("most", "kept"), [(1000, 6), (5, 0)])
def test_charged(tmp_path: Path, most: int, kept: int) -> None:
    """A gateway is charged for the inputs on the disk until their job is over; what is too much is not kept."""
    disk, gateway = Budget("spool_bytes", 1000), Party("gateway")
    limits = WorkerLimits(inputs_bytes=most)
    with Reception(tmp_path, limits, disk, gateway, lambda _: None, lambda: None) as reception:
        for piece in (head(WORKER_JOB, job(7)), b"inputs"):
            reception.take(piece)
        assert disk.held(gateway) == sum(path.stat().st_size for path in tmp_path.iterdir()) == kept
        assert isinstance(reception.error, LimitExceeded) is (not kept)
    assert (disk.used, list(tmp_path.iterdir())) == (0, [])
