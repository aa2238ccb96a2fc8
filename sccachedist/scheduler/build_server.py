"""One build server, as its last heartbeat has it.

Pure: the time is an argument. Which server gets a job is decided in :mod:`sccachedist.scheduler.fleet`, how long a
silent one is believed in :mod:`sccachedist.scheduler.liveness`.
"""

import hmac
import math

import attrs

from sccachedist.bounded import remember
from sccachedist.scheduler.backoff import Backoff
from sccachedist.scheduler.certificates import certificate_end
from sccachedist.scheduler.home_rates import Record
from sccachedist.scheduler.kinds import ServerKind, kind_of
from sccachedist.scheduler.liveness import LATE_SECS, patience_secs
from sccachedist.scheduler.out_of_service import Drain
from sccachedist.scheduler.speeds import ServerSpeed
from sccachedist.wire.abilities import Offer
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, ServerReport
from sccachedist.wire.messages import Heartbeat, JobId, job_capacity

#: Seconds for which clients are asked for a toolchain that a build server could not fetch; how many fetches in a row
#: may fail before it is believed to fetch nothing, and for how many seconds.
UNFETCHED_SECS, MOST_UNFETCHED, NO_FETCHES_SECS = 60.0, 3, 600.0
#: Seconds for which clients are not asked for a toolchain that another one is bringing; seconds after which that is
#: tried again; and for how many toolchains of a server this is noted.
PRESUMED_SECS, ASKED_SECS, MOST_PRESUMED = 10.0, 300.0, 1000


@attrs.define(eq=False)
class BuildServer:
    """A build server, as its last heartbeat has it.

    :param report: what it adds to the protocol; None if it is a published server.
    :param number: the number of the last message that was believed about jobs.
    :param told: the last change of its toolchains that the scheduler has heard of.
    :param proven: whether it has taken a job, so that its address is known to be right; false again when it fails, or
        when a client does not come for a job.
    :param drain: why an administrator wants it to get no jobs; None if none does.
    :param lent: how many of its jobs have lent their slots to others.
    :param joined: when it was first heard of, since it began to run or the scheduler did.
    :param record: which part of its jobs it sent home.
    :param speed: how fast it is, compared with the farm.
    :param presumed: by toolchain, since when clients are not asked for it, because another one is bringing it.
    :param unfetched: the toolchains that it could not fetch, each with the time until which clients are asked for it.
    :param failed_fetches: how many fetches have failed in a row; ``fetches_from`` is when it is to fetch again.
    :param unwanted: the toolchains that it is told to forget, each with the time until which it is told so.
    :param looked_at: when to look whether it has been silent for too long.
    """

    server_id: ServerId
    heartbeat: Heartbeat
    seen: float
    report: ServerReport | None = None
    number: int = -1
    told: int = 0
    proven: bool = False
    drain: Drain | None = None
    lent: int = 0
    backoff: Backoff = attrs.field(factory=Backoff)
    record: Record = attrs.field(factory=Record)
    speed: ServerSpeed = attrs.field(factory=ServerSpeed)
    jobs: set[JobId] = attrs.field(factory=set)
    toolchains: set[str] = attrs.field(factory=set)
    presumed: dict[str, float] = attrs.field(factory=dict)
    unfetched: dict[str, float] = attrs.field(factory=dict)
    failed_fetches: int = 0
    fetches_from: float = -math.inf
    unwanted: dict[str, float] = attrs.field(factory=dict)
    looked_at: float = math.inf
    _end: tuple[bytes, float | None] | None = None
    _kind: tuple[ServerReport | None, ServerKind] | None = None
    joined: float = attrs.field(default=attrs.Factory(lambda self: self.seen, takes_self=True), init=False)

    @property
    def is_open(self) -> bool:
        """Whether neither itself nor an administrator drains it."""
        return self.drain is None and (self.report is None or self.report.availability is Availability.OPEN)

    @property
    def takes_jobs(self) -> bool:
        """Whether it accepts jobs (it may be full). One that offers no slot and has no job has none to wait for."""
        return self.is_open and (self.slots > 0 or self.taken > 0)

    @property
    def lack(self) -> str:
        """Why it takes fewer jobs than it has CPUs for, in a word; empty if it does not."""
        return "" if (offer := self._offer) is None else offer.lack

    @property
    def _offer(self) -> Offer | None:
        abilities = None if self.report is None else self.report.abilities
        return None if abilities is None else abilities.offer

    @property
    def workers(self) -> int:
        """How many workers it has; 0 if it is no gateway."""
        abilities = None if self.report is None else self.report.abilities
        return 0 if abilities is None or abilities.gateway is None else abilities.gateway.workers

    @property
    def unfit(self) -> str:
        """Why it gets no jobs until its self-test passes; empty if it is fit, or does not tell."""
        health = None if self.report is None else self.report.health
        return "" if health is None else health.unfit

    @property
    def certificate_end(self) -> float | None:
        """When its certificate ends, in seconds since 1970; read once, when it is first asked for."""
        if self._end is None or self._end[0] != self.heartbeat.cert_digest:
            self._end = self.heartbeat.cert_digest, certificate_end(self.heartbeat.cert_pem)
        return self._end[1]

    @property
    def avoided_until(self) -> float:
        """Until when it gets jobs only if no other has room."""
        return max(self.backoff.until, self.record.avoided.until)

    @property
    def kind(self) -> ServerKind:
        """What sets it apart from others; read once of each report."""
        if self._kind is None or self._kind[0] is not self.report:
            self._kind = self.report, kind_of(self.report)
        return self._kind[1]

    @property
    def slots(self) -> int:
        """How many jobs it takes at a time."""
        most, offer = job_capacity(self.heartbeat.num_cpus), self._offer
        return most if offer is None else min(most, offer.slots)

    @property
    def cpus(self) -> int:
        """The CPUs that its jobs may count on: fewer than it has, if it takes fewer jobs than that; at least 1."""
        return max(1, min(self.heartbeat.num_cpus, self.slots))

    @property
    def taken(self) -> int:
        """How many of its slots are taken."""
        return len(self.jobs) - self.lent

    @property
    def has_room(self) -> bool:
        """Whether it takes one more job."""
        return self.takes_jobs and self.taken < self.slots

    @property
    def has_idle_cpu(self) -> bool:
        """Whether one more job would have a CPU for itself."""
        return self.has_room and self.taken < self.cpus

    @property
    def load(self) -> float:
        """Jobs per CPU."""
        return self.taken / self.cpus

    def may_presume(self, toolchain: str, now: float) -> bool:
        """Whether a client need not bring a toolchain that another one is bringing here."""
        return may_presume(self.presumed, toolchain, now)

    @property
    def shares(self) -> bool:
        """Whether it fetches toolchains from others, and gives them its own."""
        abilities = None if self.report is None else self.report.abilities
        return abilities is not None and abilities.fetches

    @property
    def store(self) -> str:
        """The name of the object store from which it gets toolchains; empty without one."""
        abilities = None if self.report is None else self.report.abilities
        return "" if abilities is None or abilities.store is None else abilities.store.name

    def may_fetch(self, toolchain: str, now: float) -> bool:
        """Whether it is expected to fetch a toolchain that is elsewhere: with other servers, or in its store."""
        is_able = now >= self.fetches_from and now >= self.unfetched.get(toolchain, now)
        return is_able and (self.shares or bool(self.store))

    def did_not_fetch(self, toolchain: str, now: float) -> None:
        """Note that it could not fetch a toolchain: for a while, clients are asked for it."""
        self.unfetched = {key: until for key, until in self.unfetched.items() if until > now}
        self.unfetched[toolchain] = now + UNFETCHED_SECS
        self.failed_fetches += 1
        if self.failed_fetches >= MOST_UNFETCHED:
            self.fetches_from = now + NO_FETCHES_SECS

    def did_fetch(self, toolchain: str) -> None:
        """Note that it has a toolchain that no client has brought."""
        self.unfetched.pop(toolchain, None)
        self.failed_fetches, self.fetches_from = 0, -math.inf

    @property
    def patience_secs(self) -> float:
        """For how many seconds it may be silent."""
        return patience_secs(self.report)

    def is_silent(self, now: float) -> bool:
        """Whether it has been silent for so long that it is taken for dead."""
        return now - self.seen > self.patience_secs

    def may_become(self, heartbeat: Heartbeat, now: float) -> bool:
        """Whether a heartbeat, with any certificate, has the right to its address.

        Our server keeps its job key over restarts and renewed certificates, and tells it to the scheduler alone. So
        while it lives, a sender with another key is another server. A published one makes a new key at each start.
        """
        same = hmac.compare_digest(heartbeat.jwt_key, self.heartbeat.jwt_key)
        return same or self.report is None or self.is_silent(now)

    def has_certificate_of(self, heartbeat: Heartbeat) -> bool:
        """Whether a heartbeat has the certificate of the last one."""
        last = self.heartbeat
        return heartbeat.cert_pem == last.cert_pem and heartbeat.cert_digest == last.cert_digest

    def needs_no_question(self, toolchain: str, now: float) -> bool:
        """Whether it can be given a job without being asked: it learns of the job from the client's token.

        It is asked as long as it takes another scheduler, or an earlier run, to have heard which toolchains it has.
        """
        if self.report is None or not self.proven or now - self.seen > self.report.heartbeat_secs + LATE_SECS:
            return False
        return toolchain in self.toolchains or self.report.since <= self.told


def may_presume(presumed: dict[str, float], toolchain: str, now: float) -> bool:
    """Whether a client need not bring a toolchain that another one is bringing.

    That ends after ``PRESUMED_SECS``, even if one client after the other begins to bring it and none completes it.

    :param presumed: by toolchain, since when clients are not asked for it.
    """
    since = presumed.get(toolchain)
    if since is None or now - since > ASKED_SECS:
        since = now
        remember(presumed, toolchain, since, MOST_PRESUMED)
    return now - since <= PRESUMED_SECS
