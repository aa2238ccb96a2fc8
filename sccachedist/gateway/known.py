"""What a gateway knows of one worker, and of one job. Pure."""

import attrs

from sccachedist.gateway.decisions import JobKey
from sccachedist.wire.gateway import WorkerHello
from sccachedist.wire.machines import ANY, UNKNOWN

#: Seconds after which a request for orders is answered, and those until the next one has to be there.
PING_SECS, GRACE_SECS = 5, 5


@attrs.define
class DialledWorker:
    """A session.

    :param heard: when its last request for orders was answered, or came.
    :param is_listening: whether one is open.
    :param running: the jobs that it has, by their tickets.
    :param ending: the tickets that it has to end, with the places where their jobs were given away.
    """

    session: str
    hello: WorkerHello
    cpus: int
    slots: int
    toolchains: set[str]
    heard: float
    is_listening: bool = False
    is_leaving: bool = False
    places: dict[int, None] = attrs.field(factory=dict)
    running: dict[int, JobKey] = attrs.field(factory=dict)
    ending: dict[int, int] = attrs.field(factory=dict)

    @property
    def takes_jobs(self) -> bool:
        """Whether it will open places."""
        return self.slots > 0 and not self.is_leaving

    def is_silent(self, now: float) -> bool:
        """Whether it has not been heard of for too long."""
        return now - self.heard >= (PING_SECS if self.is_listening else 0) + GRACE_SECS

    def suits(self, machine: int) -> bool:
        """Whether it could run programs of a machine, as far as that is known."""
        return machine in (UNKNOWN, ANY) or not self.hello.machines or machine in self.hello.machines


@attrs.define
class RemoteJob:
    """A job.

    :param machine: which its toolchain needs.
    :param had: the nonces of workers that had it.
    :param at: the session and the ticket; None while it waits. ``place``: where it was given away.
    :param since: when it was given away.
    :param alone: since when no worker could run it; None if one could.
    """

    key: JobKey
    toolchain: str
    machine: int
    losses: int = 0
    busy: int = 0
    had: set[int] = attrs.field(factory=set)
    at: tuple[str, int] | None = None
    place: int = 0
    since: float = 0.0
    alone: float | None = None
