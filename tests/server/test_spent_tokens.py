"""The jobs that are over: remembered, bounded, and not forgotten over a restart."""

import errno
import os
from pathlib import Path

import pytest

from sccachedist.server import spent_tokens as spent_module
from sccachedist.server.spent_token_file import KeptSpentJobs
from sccachedist.server.spent_tokens import GENERATION_SECS, SpentJobs
from sccachedist.wire.messages import JobId
from tests.support.broken_disks import failing

JOB = JobId(7)


@pytest.fixture
def few_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spent_module, "GENERATION_IDS", 10)


def kept(tmp_path: Path) -> KeptSpentJobs:
    """What a build server finds at its start."""
    jobs = KeptSpentJobs(tmp_path / "spent")
    jobs.open()
    return jobs


@pytest.mark.parametrize("issued", [None, 1, 1000])
def test_spent(issued: int | None) -> None:
    """What is over is refused, whenever its token was issued; others are not."""
    jobs = SpentJobs()
    assert not jobs.refuses(JOB, issued)
    jobs.add(JOB, issued or 0, keep=True)
    assert jobs.refuses(JOB, issued)
    assert not jobs.refuses(JobId(8), issued)


@pytest.mark.usefixtures("few_ids")
def test_no_token_opens_a_job_twice() -> None:
    """The memory is bounded, and of what is forgotten nothing is good again."""
    jobs = SpentJobs()
    for number in range(1, 1001):
        assert not jobs.refuses(JobId(number), number)
        jobs.add(JobId(number), number, keep=True)
    assert all(jobs.refuses(JobId(number), number) for number in range(1, 1001))
    assert jobs.mark == 980
    assert len(jobs._newer.ids) + len(jobs._older.ids) == 20


def test_an_hour_later() -> None:
    """A token is good for an hour at least, however many jobs are over by then."""
    jobs = SpentJobs()
    for number in range(3):
        jobs.add(JobId(number), 1 + number * GENERATION_SECS, keep=True)
    assert jobs.mark == 1
    assert jobs.refuses(JobId(0), 1)
    assert not jobs.refuses(JobId(9), 2)


@pytest.mark.usefixtures("few_ids")
def test_a_clock_that_was_wrong() -> None:
    """A mark from the future, of a scheduler whose clock was set back, refuses nothing: builds go on."""
    jobs = SpentJobs()
    for number in range(25):
        jobs.add(JobId(number), 10**9, keep=True)
    assert jobs.refuses(JOB, 1000)
    assert jobs.refuses(JobId(99), 1000, 2e9)
    assert not jobs.refuses(JobId(99), 1000, 1001.0)
    assert jobs.refuses(JobId(24), 1000, 1001.0)


# -- kept --


@pytest.mark.parametrize("cut", [0, 1, 15])
def test_restarted(tmp_path: Path, cut: int) -> None:
    """What was over before a restart, or a kill in the middle of a record, is over after it; what was not is not."""
    jobs = kept(tmp_path)
    jobs.add(JOB, 1000, keep=True)
    jobs.add(JobId(8), 0, keep=True)
    jobs.add(JobId(9), 1000, keep=False)
    jobs.close()
    if cut:
        with (tmp_path / "spent").open("ab") as file:
            file.write(b"x" * cut)
    for _ in range(2):
        jobs = kept(tmp_path)
        assert [jobs.refuses(JobId(number), 1000) for number in (7, 8, 9, 10)] == [True, True, False, False]
        jobs.add(JobId(11), 1000, keep=True)
        jobs.close()
    assert kept(tmp_path).refuses(JobId(11), 1000)
    assert (tmp_path / "spent").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("few_ids")
def test_the_mark_is_kept(tmp_path: Path) -> None:
    """The files are bounded, and no restart makes a token good again."""
    for number in range(100):
        jobs = kept(tmp_path)
        jobs.add(JobId(number), number, keep=True)
        jobs.close()
    jobs = kept(tmp_path)
    assert all(jobs.refuses(JobId(number), number) for number in range(100))
    assert not jobs.refuses(JobId(100), 100)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 22 * 16


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Jobs that are over are remembered as long as the process lasts, and it goes on."""
    with monkeypatch.context() as broken:
        broken.setattr(os, "open", failing(number))
        jobs = kept(tmp_path)
        jobs.add(JobId(6), 1000, keep=True)
    assert jobs.refuses(JobId(6), 1000)
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", failing(number))
        jobs.add(JOB, 1000, keep=True)
    jobs.add(JobId(8), 1000, keep=True)
    assert jobs.refuses(JOB, 1000)
    jobs.close()
    assert [kept(tmp_path).refuses(JobId(job_id), 1000) for job_id in (6, 7, 8)] == [False, False, True]


@pytest.mark.usefixtures("few_ids")
def test_a_disk_that_renames_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generation that cannot end on the disk ends in memory."""
    jobs = kept(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "rename", failing(errno.EROFS))
        for job_id in range(30):
            jobs.add(JobId(job_id), job_id, keep=True)
    assert all(jobs.refuses(JobId(job_id), job_id) for job_id in range(30))


@pytest.mark.parametrize("what", ["link", "hard link", "fifo", "folder"])
def test_what_somebody_else_put_there(tmp_path: Path, what: str) -> None:
    """Nothing but a file of ours is read or written."""
    victim, path = tmp_path / "victim", tmp_path / "identity" / "spent"
    victim.write_bytes(b"precious")
    path.parent.mkdir()
    if what == "link":
        path.symlink_to(victim)
    elif what == "hard link":
        path.hardlink_to(victim)
    elif what == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    jobs = kept(path.parent)
    jobs.add(JOB, 1000, keep=True)
    jobs.close()
    assert victim.read_bytes() == b"precious"
    assert kept(path.parent).refuses(JOB, 1000)


def test_a_file_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing of our jobs."""
    jobs = kept(tmp_path)
    jobs.add(JOB, 1000, keep=True)
    jobs.close()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 4321)
    assert not kept(tmp_path).refuses(JOB, 1000)
