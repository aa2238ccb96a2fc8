"""What a host can spare for jobs now, of CPUs and of memory, and why that is less than it has.

Pure: the time is an argument. How it is seen, and who hears of it, :mod:`sccachedist.server.spare_capacity` knows.
"""

from math import inf

import attrs

from sccachedist.outcomes import Lack
from sccachedist.server.idle_cpus import IdleCpus
from sccachedist.server.memory_room import JobMemory, MemoryRoom
from sccachedist.wire.abilities import Offer
from sccachedist.wire.messages import job_capacity

#: Seconds for which nothing is offered before jobs go home that still run: they get what others leave, if anything.
GRACE_SECS = 30.0


@attrs.frozen
class CpuUse:
    """How the CPUs were used since the last look.

    :param foreign: CPUs that others than this daemon and its jobs used.
    :param is_contended: whether tasks waited for a CPU for most of the time.
    """

    foreign: float
    is_contended: bool = False


#: The use of CPUs before the first look.
UNSEEN = CpuUse(inf)


class Spare:
    """What a host can spare.

    :param cpus: that it offers at most; ``host``: how many there are.
    :param reserve: bytes of memory that are to stay free.
    :ivar offer: the jobs that it takes at a time; ``most``: how many if nothing is lacking.
    """

    def __init__(self, cpus: int, reserve: int, host: int) -> None:
        self.memory = MemoryRoom(reserve)
        self._host, self._idle = host, IdleCpus(cpus, host)
        self.most = job_capacity(cpus)
        self.offer = Offer(self.most)
        self._taken_back: float | None = None

    def take(self, cpus: int, reserve: int) -> None:
        """Offer so many CPUs from now on, and leave so much memory free."""
        self.memory.reserve = reserve
        if job_capacity(cpus) != self.most:
            self.most, self._idle = job_capacity(cpus), IdleCpus(cpus, self._host)

    def looked(self, use: CpuUse | None, memory: JobMemory, now: float) -> Offer:
        """Note a look; returns what is offered.

        :param use: :data:`UNSEEN` if it is not known yet: then no CPU is; None if all are, used or not.
        """
        most, idle = self.most, self._idle.cpus
        if use is not None:
            is_seen = use is not UNSEEN
            idle = self._idle.looked(use.foreign, now, is_contended=use.is_contended) if is_seen else 0
        for_cpus = most if idle == self._idle.cpus else idle  # the few slots beside CPUs are for hosts without others
        for_memory = self.memory.looked(memory, most, now)
        slots = min(for_cpus, for_memory)
        lack = "" if slots == most else (Lack.BUSY if for_cpus <= for_memory else Lack.NO_MEMORY).word
        self.offer = Offer(slots, lack)
        if slots:
            self._taken_back = None
        elif self._taken_back is None:
            self._taken_back = now
        return self.offer

    def is_over(self, now: float) -> bool:
        """Whether jobs that still run should go home: others have had all CPUs for long."""
        is_long = self._taken_back is not None and now - self._taken_back >= GRACE_SECS
        return is_long and self.offer.lack == Lack.BUSY.word
