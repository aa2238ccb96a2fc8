"""Which build servers send far more of their jobs home than the others do.

What goes home because of its own content goes home from every server, so a server is compared with all others. Of our
servers, their heartbeats tell how many jobs gave no result; of a published one, only a client that did not come can be
counted, which is what happens when it cannot take a toolchain.

Pure: the time is an argument. :mod:`sccachedist.scheduler.fleet` knows what it means that a server is avoided.
"""

import attrs

from sccachedist.scheduler.backoff import Backoff

#: Seconds after which a job counts half.
HALF_LIFE_SECS = 60.0
#: A server is avoided if it has sent home at least so many jobs, and a part of all that is so large, and so many times
#: as large as the others' part.
LEAST_HOME, LEAST_PART, TIMES_OTHERS = 3.0, 0.2, 4.0


@attrs.define
class Results:
    """How many jobs have ended, and how many of them were sent home; both decay with time."""

    ended: float = 0.0
    home: float = 0.0
    at: float = 0.0

    def add(self, ended: int, home: int, now: float) -> None:
        """Count further jobs."""
        self._decay(now)
        self.ended += ended
        self.home += home

    def part(self) -> float:
        """Which part was sent home."""
        return self.home / self.ended if self.ended else 0.0

    def _decay(self, now: float) -> None:
        factor = 0.5 ** ((now - self.at) / HALF_LIFE_SECS)
        self.ended, self.home, self.at = self.ended * factor, self.home * factor, now


@attrs.define
class Record:
    """One build server's.

    :param avoided: for how long it is avoided.
    :param counted: what it has told so far, as numbers of ended jobs and of those sent home.
    :param on_trial: whether it was avoided, and no job has succeeded since.
    """

    results: Results = attrs.field(factory=Results)
    avoided: Backoff = attrs.field(factory=Backoff)
    counted: tuple[int, int] = (0, 0)
    on_trial: bool = False

    def forgiven(self, now: float) -> "Record":
        """The record of a server that begins afresh. What it has told already is not counted twice."""
        return Record(Results(at=now), counted=self.counted)


class HomeRates:
    """The jobs that were sent home, in the whole farm."""

    def __init__(self) -> None:
        self._farm = Results()

    def told(self, record: Record, ended: int, home: int, now: float) -> bool:
        """Count what one of our servers tells of all its jobs since its start.

        :returns: whether it is to be avoided from now on, see :attr:`Record.avoided`.
        """
        before, record.counted = record.counted, (ended, home)
        return self.add(record, max(0, ended - before[0]), max(0, home - before[1]), now)

    def add(self, record: Record, ended: int, home: int, now: float) -> bool:
        """Count further jobs of a server; returns as :meth:`told`."""
        home = min(home, ended)
        record.results.add(ended, home, now)
        self._farm.add(ended, home, now)
        if now <= record.avoided.until:  # these jobs are from before
            return False
        if ended > home:
            record.on_trial = False
        if not home or not (record.on_trial or self._is_far_worse(record.results)):
            return False
        row = record.avoided if record.on_trial else Backoff()
        record.avoided = row.after_failure(now, now)
        record.results, record.on_trial = Results(at=now), True
        return True

    def _is_far_worse(self, results: Results) -> bool:
        others = Results(self._farm.ended - results.ended, self._farm.home - results.home)
        if others.ended < 1.0 or results.home < LEAST_HOME or results.part() < LEAST_PART:
            return False
        return results.part() >= TIMES_OTHERS * others.part()
