"""What the doctor makes of several schedulers: of their store, and of what each of them says of itself. Pure."""

from collections.abc import Collection

from sccachedist.cli.doctor.findings import Finding, failed, good, warning
from sccachedist.cluster.lock import Holder
from sccachedist.cluster.roll import SchedulerAccount

LOCK, SCHEDULERS = "cluster.lock", "cluster.schedulers"
_UNLIKE = "have the same in the files of all, and reload: tokens that a leader does not know fail builds"


def store(holder: Holder | None, schedulers: Collection[str]) -> Finding:
    """What a store that answers says of the lock.

    :param holder: who has it; None if it is free.
    :param schedulers: the URLs of all.
    """
    if holder is None:
        return warning(LOCK, "the store answers; no scheduler leads", "start one, or ask again")
    url = holder.candidate.url
    if url not in schedulers:
        text = f"{url} has the lock, and is not in cluster.schedulers"
        return failed(LOCK, text, "name it there, or give each farm a database of its own")
    return good(LOCK, f"the store answers; {url} leads")


def no_store(reason: str) -> Finding:
    """What keeps a scheduler from the store; the reason names the store."""
    return failed(LOCK, reason, "correct the key, or see to the store: its address, users and certificate")


def few_rights(refused: Collection[str]) -> Finding:
    """A store whose user may do less than is needed.

    :param refused: the commands that it may not run.
    """
    mend = f"ACL SETUSER it {' '.join(f'+{name.lower()}' for name in refused)}"
    return failed(LOCK, f"the store does not let its user run {', '.join(refused)}", mend)


def scheduler(url: str, account: SchedulerAccount, version: str, *, is_own: bool) -> Finding:
    """Whether a scheduler that answers is one of the same farm.

    :param version: that of this program.
    :param is_own: whether it is the one that the configuration file is of.
    """
    if account.differs:
        parts = ", ".join(account.differs)
        if is_own:
            return failed(SCHEDULERS, f"{url} runs with another {parts} than this file", "reload it, or restart it")
        return failed(SCHEDULERS, f"{url} has another {parts}", _UNLIKE)
    if account.version != version:
        return warning(SCHEDULERS, f"{url} is of version {account.version}, this one of {version}", "update it")
    same = "" if account.differs is None else ", with the same secrets"
    return good(SCHEDULERS, f"{url} {'follows' if account.number is None else 'leads'}{same}")


def no_scheduler(url: str, reason: str, *, is_own: bool) -> Finding:
    """One that does not answer, or not as a scheduler of this release."""
    level = warning if is_own else failed
    return level(SCHEDULERS, f"{url} cannot be asked: {reason}", "start it, or see what is in between")
