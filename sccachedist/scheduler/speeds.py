"""How fast build servers are at the moment, compared with the farm, as the ends of their jobs tell.

Jobs differ far more than servers do. So the time of a job is divided by the usual one for its toolchain and client, and
a server is judged by medians of the logarithms of that, for which a few odd jobs do not count. What only one server
does says nothing of it. Two things are told apart:

- the *work* of a job, the CPU time that it took, tells how fast the CPUs are. That seldom changes, if their clock is
  lowered for heat or raised again. It differs from job to job, so many jobs count, and are remembered for long;
- its *stretch*, how much longer it ran than it worked, tells of quotas and foreign load. These come and go, but a job's
  length has no part in it. So a few jobs are enough, and if none has ended for a while, it is forgotten.

That a job shared its server's CPUs with others of the farm is no fault of the server, and is divided out. A published
server, or a container, tells no CPU time: the whole time that the scheduler sees then counts as stretch, of more jobs,
and is compared with that at servers that tell it, if there are any.
A median is believed as far as chance does not explain it, so equal servers are equal.

Pure: the time is an argument. Who gets a job is decided in :mod:`sccachedist.scheduler.fleet`.
"""

import math
from collections.abc import Callable
from typing import TypeVar

import attrs

from sccachedist.bounded import remember
from sccachedist.budgets import Party
from sccachedist.errors import DecodeError
from sccachedist.outcomes import Outcome
from sccachedist.scheduler.latest import Latest
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.job_summary import ending, times_us

K = TypeVar("K")
V = TypeVar("V")

#: The latest jobs of a server that count: for its work, for its stretch, and for that if no CPU time is told.
MOST_WORK, MOST_STRETCH, MOST_WHOLE = 100, 5, 15
#: How many of them say something.
LEAST_WORK, LEAST_STRETCH, LEAST_WHOLE = 20, 3, 8
#: Jobs from which it is known what is usual for a toolchain and a client.
MOST_USUAL = 101
#: For how many toolchains, each with a client, that is known.
MOST_KINDS = 1000
#: Seconds without a job's end after which a stretch is forgotten: the next job finds out what it is now.
STALE_SECS = 60.0
#: Seconds without a job's end after which the work is forgotten, too: the next jobs find it out again.
STALE_WORK_SECS = 3600.0
#: A median has to differ by more than so many of its standard errors, and counts the more the more that are. The error
#: of a median of n numbers is 1.25 times their deviation, divided by the root of n.
SURE, _MEDIAN_ERROR = 2.0, 1.25
#: No server is taken for more than so many times as slow or as fast as usual.
MOST_TIMES = 16.0
#: Seconds until a toolchain is at a server that lacks it, as long as none has been seen to arrive; of how many arrivals
#: the median counts.
ARRIVAL_SECS, MOST_ARRIVALS = 10.0, 9


@attrs.frozen
class Took:
    """The time of a job.

    :param seconds: for which it ran; ``cpu_seconds``: of CPU that it took, 0 if that is not known.
    :param crowd: how many jobs there were for each CPU of its server; 1 if each job had one for itself.
    :param whole: the seconds with what comes before and behind, as far as they are seen of a published server's job.
    """

    seconds: float
    cpu_seconds: float
    crowd: float = 1.0
    whole: float = attrs.field(default=attrs.Factory(lambda self: self.seconds, takes_self=True))


def took_of(summary: bytes, crowd: float) -> Took | None:
    """The time of a job of our build server; None if its summary does not tell, or it gave no result."""
    try:
        if ending(summary)[0] is not Outcome.COMPILED:
            return None
        ran, whole, worked = times_us(summary)
    except DecodeError:
        return None
    return Took(ran / 1e6, worked / 1e6, crowd, whole / 1e6) if ran else None


@attrs.define(eq=False)
class ServerSpeed:
    """What the jobs of one build server tell: logarithms of their times, each divided by the usual one.

    :param told: when the last of them ended.
    """

    work: Latest = attrs.field(factory=lambda: Latest(MOST_WORK))
    stretch: Latest = attrs.field(factory=lambda: Latest(MOST_STRETCH))
    told: float = -math.inf
    _lasting: float = 1.0
    _passing: float = 1.0

    def slowness(self, now: float, *, is_idle: bool) -> float:
        """The time that a job takes here, in times of what is usual in the farm: 2 for a server of half the speed.

        :param is_idle: whether it has no job. Only then may one find out whether it is better than it was.
        """
        silent = now - self.told if is_idle else 0.0
        if silent > STALE_WORK_SECS:
            return 1.0
        return self._lasting if silent > STALE_SECS else self._lasting * self._passing

    def add(self, work: float | None, stretch: float, now: float) -> None:
        """Count a job; without its work, if that is not known."""
        if now - self.told > STALE_SECS and not self._is_as_before(stretch):
            self.stretch = Latest(MOST_WHOLE if work is None else MOST_STRETCH)
        if now - self.told > STALE_WORK_SECS:
            self.work, self._lasting = Latest(MOST_WORK), 1.0
        self.told = now
        if work is not None:
            self.work.add(work)
            self._lasting = _times(self.work, LEAST_WORK)
        self.stretch.add(stretch)
        self._passing = _times(self.stretch, LEAST_WHOLE if work is None else LEAST_STRETCH)

    def _is_as_before(self, stretch: float) -> bool:
        """Whether the first job after a rest is more like those before than like a usual one: then they still count."""
        return len(self.stretch) > 0 and abs(stretch - self.stretch.median) < abs(stretch)


def _times(found: Latest, least: int) -> float:
    """How many times as long as usual, as far as that is certain."""
    if len(found) < least:
        return 1.0
    error, differs = SURE * _MEDIAN_ERROR * found.spread / math.sqrt(len(found)), abs(found.median)
    if differs <= error:
        return 1.0
    certain = min(differs - error * error / differs, math.log(MOST_TIMES))
    return math.exp(math.copysign(certain, found.median))


@attrs.define(eq=False)
class _Usual:
    """The jobs of a toolchain and a client, at all servers that tell CPU time, or at all others: logarithms.

    :param work: of the seconds of CPU; ``stretch``: of the seconds divided by that; ``whole``: of all seconds, which is
        the only one if CPU time is not told.
    :param first: whose the first of them was; ``is_shared``: whether another server has had one.
    """

    first: ServerId
    work: Latest = attrs.field(factory=lambda: Latest(MOST_USUAL))
    stretch: Latest = attrs.field(factory=lambda: Latest(MOST_USUAL))
    whole: Latest = attrs.field(factory=lambda: Latest(MOST_USUAL))
    is_shared: bool = False


class Speeds:
    """What is usual in the farm, and how servers compare."""

    def __init__(self) -> None:
        self._usual: dict[tuple[str, Party, bool], _Usual] = {}
        self._lengths: dict[str, Latest] = {}
        self._arrivals: dict[str, Latest] = {}

    def ended(
        self, server_id: ServerId, speed: ServerSpeed, toolchain: str, client: Party, took: Took, now: float
    ) -> None:
        """Count a job that is over.

        :param speed: of its server; it changes.
        """
        alone, whole = took.seconds / took.crowd, math.log(took.whole / took.crowd)
        tells_work = took.cpu_seconds > 0
        usual = _kept(self._usual, (toolchain, client, tells_work), lambda: _Usual(server_id))
        usual.whole.add(whole)
        usual.is_shared = usual.is_shared or usual.first != server_id
        if tells_work:
            work = math.log(took.cpu_seconds)
            stretch = math.log(alone) - work
            usual.work.add(work)
            usual.stretch.add(stretch)
            if usual.is_shared:
                speed.add(work - usual.work.median, stretch - usual.stretch.median, now)
        else:
            told = self._usual.get((toolchain, client, True))
            if told is not None and len(told.whole) >= LEAST_WHOLE:
                speed.add(None, whole - told.whole.median, now)
            elif usual.is_shared:
                speed.add(None, whole - usual.whole.median, now)
        _kept(self._lengths, toolchain, lambda: Latest(MOST_USUAL)).add(alone)

    def arrived(self, toolchain: str, secs: float) -> None:
        """Count that a job had to wait for its toolchain, for so many seconds."""
        _kept(self._arrivals, toolchain, lambda: Latest(MOST_ARRIVALS)).add(secs)

    def seconds(self, toolchain: str) -> float | None:
        """How long a job with a toolchain runs, as a rule, on a CPU of its own; None if that is not known."""
        found = self._lengths.get(toolchain)
        return None if found is None else found.median

    def arrival_secs(self, toolchain: str) -> float:
        """How long a job waits for its toolchain, as a rule, at a server that lacks it."""
        found = self._arrivals.get(toolchain)
        return ARRIVAL_SECS if found is None else found.median


def _kept(books: dict[K, V], key: K, new: Callable[[], V]) -> V:
    """What is noted under a key, or a new note; if there are too many, the one that was not asked for longest goes."""
    found = books.get(key)
    if found is None:
        found = new()
    remember(books, key, found, MOST_KINDS)
    return found
