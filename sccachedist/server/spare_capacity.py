"""Looks now and then at what a host can spare for jobs, and tells of each change.

What follows from what is seen, :mod:`sccachedist.server.spare` decides; who hears of it, the role knows.
"""

import math
import os
from collections.abc import Callable
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime

from sccachedist.builders.cgroups import own_and_above
from sccachedist.config import HostSettings, OverlayBuilderSettings
from sccachedist.daemon.logs import Logger
from sccachedist.daemon.periodic import PeriodicService
from sccachedist.errors import ConfigError
from sccachedist.memory import FreeMemory, least_memory
from sccachedist.outcomes import Lack
from sccachedist.server.host_usage import HostUsage
from sccachedist.server.memory_room import JobMemory
from sccachedist.server.self_description import job_slots, offered_cpus
from sccachedist.server.spare import UNSEEN, Spare
from sccachedist.wire.abilities import Offer
from sccachedist.wire.job_summary import JobSummary
from sccachedist.wire.messages import JobId

log = Logger()
H = TypeVar("H", bound=HostSettings)

#: Seconds between two looks.
LOOK_SECS = 1.0
#: Seconds between two looks at the quotas of control groups: a heartbeat apart.
QUOTA_SECS = 5.0


class SpareCapacity(PeriodicService):
    """Looks when it begins to run, and once a second from then on: the first job may come within that second.

    :param idle_only: whether only CPUs are offered that others leave idle.
    :param memory: returns the memory that is free.
    :param running: returns how many jobs run.
    :param changed: called with each new offer.
    :param over: called when the jobs that still run should go home.
    :param knows_held: whether the processes of jobs are this daemon's, so that the memory is known that they have.
    """

    def __init__(
        self,
        spare: Spare,
        usage: HostUsage,
        memory: Callable[[], FreeMemory | None],
        running: Callable[[], int],
        changed: Callable[[Offer], None],
        over: Callable[[], None],
        clock: IReactorTime,
        *,
        idle_only: bool,
        knows_held: bool = True,
    ) -> None:
        super().__init__(LOOK_SECS, self.look, clock)
        self.spare, self._usage, self._memory, self._running = spare, usage, memory, running
        self._changed, self._over, self._idle_only = changed, over, idle_only
        self._knows_held = knows_held
        self._now, self._looked_at = clock.seconds, -math.inf
        self._takes_jobs = True  # as the log has it

    def startService(self) -> None:
        """Look, before the first job can come."""
        super().startService()
        self._call()

    def look(self) -> None:
        """Look at the host, and tell what has changed."""
        now = self._now()
        is_first = self._looked_at == -math.inf
        secs = 0.0 if is_first else now - self._looked_at
        if not is_first and secs < LOOK_SECS / 2:  # the last look was late, and the kernel counts in ticks
            return
        self._looked_at = now
        found = self._memory()
        free = None if found is None else found.bytes
        is_ample = self.spare.memory.is_ample(free, self.spare.most)
        held = None
        if self._knows_held:
            held = 0 if is_ample else self._usage.held_bytes()
        # With memory for all, those that stand still are in a group with a limit of its own, such as a neighbour.
        is_pressed = self._usage.is_pressed(secs) and not is_ample
        seen = JobMemory(free, held, self._running(), is_pressed)
        before = self.spare.offer
        use = (self._usage.cpu_use(secs) or UNSEEN) if self._idle_only else None
        offer = self.spare.looked(use, seen, now)
        if use is not UNSEEN:
            self._log(offer)
        if offer != before:
            self._changed(offer)
        if self.spare.is_over(now):
            self._over()

    def ended(self, job_id: JobId | None, client: str, summary: JobSummary, octets: bytes) -> None:
        """Learn from a job that has ended how much memory jobs take: an observer of jobs."""
        self.spare.memory.ended(summary.peak_memory_bytes)

    def take(self, settings: HostSettings) -> None:
        """Go by other settings from now on."""
        self.spare.take(offered_cpus(settings), settings.capacity.reserve_memory_bytes)

    def _log(self, offer: Offer) -> None:
        if self._takes_jobs and not offer.slots:
            log.info("no jobs for now: {why}", why=Lack.of(offer.lack).means)
        elif offer.slots and not self._takes_jobs:
            log.info("jobs are taken again")
        self._takes_jobs = offer.slots > 0


def spare_capacity(
    settings: HostSettings,
    memory: Callable[[], FreeMemory | None],
    running: Callable[[], int],
    changed: Callable[[Offer], None],
    over: Callable[[], None],
    clock: IReactorTime,
) -> SpareCapacity:
    """Return what looks at the host as its configuration wants it; the other parameters are as above.

    :raises ConfigError: this kernel does not tell enough for that, or this host has not so much memory.
    """
    check_reserve(settings)
    capacity, numbers = settings.capacity, _usable_cpu_numbers()
    usage = HostUsage(numbers)
    if capacity.idle_only and not usage.knows_own:
        raise ConfigError("capacity.idle_only: this kernel does not tell which processes a daemon has started")
    spare = Spare(offered_cpus(settings), capacity.reserve_memory_bytes, len(numbers))
    knows_held = isinstance(settings.builder, OverlayBuilderSettings) and usage.knows_own
    return SpareCapacity(
        spare, usage, memory, running, changed, over, clock, idle_only=capacity.idle_only, knows_held=knows_held
    )


def follow_quotas(slots: int, settings: H, take: Callable[[H], None]) -> None:
    """Offer what the quotas of control groups allow by now; the first one was read at the start.

    :param slots: how many jobs run at a time; ``take``: called with the settings if that is to be another number.
    """
    if slots != job_slots(settings):
        log.info("a CPU quota has changed: {cpus} CPUs are offered", cpus=offered_cpus(settings))
        take(settings)


def check_reserve(settings: HostSettings) -> None:
    """Check that this host, and each of its control groups, has more memory than is to stay free: else no job ran.

    :raises ConfigError: one has not.
    """
    least = least_memory(own_and_above("memory"))
    if least is not None and settings.capacity.reserve_memory_bytes >= least[0]:
        size, whose = least
        raise ConfigError(f"capacity.reserve_memory_bytes: {whose} has {size} bytes of memory, so no job would run")


def _usable_cpu_numbers() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()
