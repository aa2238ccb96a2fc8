"""What the doctor makes of several schedulers."""

import pytest

from sccachedist.cli.doctor.findings import Level
from sccachedist.cli.doctor.schedulers import few_rights, no_scheduler, no_store, scheduler, store
from sccachedist.cluster.leadership import Candidate
from sccachedist.cluster.lock import Holder
from sccachedist.cluster.roll import SchedulerAccount

A, B = "http://10.0.0.1:10600", "http://10.0.0.2:10600"


def holder(url: str) -> Holder:
    return Holder(Candidate(url, "run"), 1)


def test_the_store() -> None:
    """It says who leads; one that is not among the schedulers is of another farm, or missing in the list."""
    found = [store(holder(A), (A, B)), store(None, (A, B)), store(holder(A), (B,)), no_store("redis://x: no answer")]
    assert [str(each).partition(";")[0] for each in found] == [
        "ok       cluster.lock: the store answers",
        "warning  cluster.lock: the store answers",
        f"FAILED   cluster.lock: {A} has the lock, and is not in cluster.schedulers",
        "FAILED   cluster.lock: redis://x: no answer",
    ]
    assert A in found[0].text


def test_a_user_of_the_store() -> None:
    """What it may not do is named, and how it may."""
    assert str(few_rights(("HSET", "HDEL"))).startswith(
        "FAILED   cluster.lock: the store does not let its user run HSET, HDEL; ACL SETUSER it +hset +hdel"
    )


@pytest.mark.parametrize(
    ("account", "level", "said"),
    [
        (SchedulerAccount("1.0", 5, 1.0, None, ()), Level.OK, "leads, with the same secrets"),
        (SchedulerAccount("1.0", None, 1.0, None, ()), Level.OK, "follows, with the same secrets"),
        (SchedulerAccount("1.0", None, 1.0), Level.OK, "follows"),
        (SchedulerAccount("0.9", 5, 1.0, None, ()), Level.WARNING, "is of version 0.9, this one of 1.0"),
        (SchedulerAccount("0.9", 5, 1.0, None, ("jwt", "admin.token")), Level.FAILED, "has another jwt, admin.token"),
    ],
)
def test_a_scheduler(account: SchedulerAccount, level: Level, said: str) -> None:
    """Whether it has the same secrets goes before its version."""
    found = scheduler(B, account, "1.0", is_own=False)
    assert (found.level, found.text) == (level, f"{B} {said}")


def test_the_own_scheduler() -> None:
    """It may run with an earlier state of the file, or not run yet."""
    account = SchedulerAccount("1.0", None, 1.0, None, ("client_auth",))
    assert scheduler(A, account, "1.0", is_own=True).text == f"{A} runs with another client_auth than this file"
    found = [no_scheduler(A, "refused", is_own=is_own) for is_own in (True, False)]
    assert [each.level for each in found] == [Level.WARNING, Level.FAILED]
