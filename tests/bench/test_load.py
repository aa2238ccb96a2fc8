"""The load of the job cases, compiled and put to real daemons: those of both sides."""

from pathlib import Path

import attrs
import pytest

from bench.jobs import copying, renewed
from bench.load import compiled, run_jobs
from bench.sides import OURS, PUBLISHED, Role, side
from farmkit.busybox_jobs import shell
from farmkit.load_client import LoadError

pytestmark = pytest.mark.functional


@pytest.mark.parametrize("role", [OURS, PUBLISHED], ids=lambda role: role.name)
def test_jobs(role: Role, tmp_path: Path) -> None:
    """Each job is run to its end, more at a time than there is room for; one that cannot end well is told."""
    work, program = copying(tmp_path, 200_000), compiled(tmp_path)
    with side(role, tmp_path) as farm:
        farm.client.first_compile(work.archive, work.toolchain, work.request, work.inputs)
        ran = run_jobs(program, farm, work, 12, 5)
        assert len(ran.seconds) == 12
        assert 0 < max(ran.seconds) <= ran.wall
        assert 0 < ran.cpu < ran.wall * 5
        with pytest.raises(LoadError, match=r"answered HTTP/1\.1 500|a job failed"):
            run_jobs(program, farm, attrs.evolve(work, request=shell("exit 3")), 1, 1)
        with pytest.raises(LoadError, match="a toolchain is asked for"):
            run_jobs(program, farm, renewed(work, tmp_path), 1, 1)


def test_no_daemons(tmp_path: Path) -> None:
    """A scheduler that is gone is an error, not a time."""
    work, program = copying(tmp_path, 10), compiled(tmp_path)
    with side(OURS, tmp_path) as farm:
        farm.client.first_compile(work.archive, work.toolchain, work.request, work.inputs)
        farm.farm.server.stop()
        with pytest.raises(LoadError):
            run_jobs(program, farm, work, 1, 1)
