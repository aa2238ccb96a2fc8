"""The simulation of jobs that run a second time elsewhere."""

import pytest

from bench import stragglers
from bench.stragglers import FILES, Build, Job, Late, rules, simulated


@pytest.mark.parametrize("late", [late for _, late in rules()], ids=[name for name, _ in rules()])
def test_each_job_ends_once(late: Late, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many run twice, each file ends, in no less time than its work takes, and nothing is left on a worker."""
    monkeypatch.setattr(stragglers, "WORKERS", 8)
    farm = simulated(late, 0.5, builds=3, seed=1)
    assert len(farm.jobs) == 3 * FILES
    assert all(job.ended - job.began >= job.work - 1e-6 for job in farm.jobs)
    assert not any(worker.left for worker in farm.workers)
    assert [build.left for build in farm.done] == [0] * 3
    assert farm.twice == sum(len(job.at) == 2 for job in farm.jobs)


def test_which_jobs_are_late() -> None:
    """By the length that a file had before, a job may take three times that and two seconds."""
    (_, never), _, (_, by_file) = rules()
    job = Job(Build(0.0), work=10.0, known=10.0, began=100.0)
    assert not never(job, 1e9)
    assert not by_file(job, 132.0)
    assert by_file(job, 132.1)
