"""Which faults a build meets: a pure function of a seed.

A fault's time is the build's progress, so that a seed hits the same places of a build on a slow machine as on a fast
one. How a fault is brought about is not known here.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from random import Random

import attrs

#: A process that is stopped stays so for this long, in seconds.
STOP_SECS = 5.0
#: The fewest and the most faults of one build.
FEWEST, MOST = 3, 5

_LONGEST_ABSENCE = 3.0
_SHORTEST_CUT, _LONGEST_CUT = 1.0, 6.0
_LAST = 0.9  # of the build: what comes later would hit nothing


class Kind(Enum):
    """What happens to a daemon."""

    KILL = "killed with SIGKILL, started again"
    TERM = "ended with SIGTERM, started again"
    STOP = "stopped with SIGSTOP, continued"
    CUT = "its cable is pulled, and put back"
    PARTED = "packets between it and the other daemons vanish, those of clients pass"
    LOSE = "killed with SIGKILL, started again without its data"


@attrs.frozen(order=True)
class Fault:
    """One fault.

    :param after: how many files have been compiled when it happens.
    :param secs: how long the daemon is away, stopped or cut off; a restart adds its own time. Infinite: it stays away.
    """

    after: int
    target: str
    kind: Kind = attrs.field(order=False)
    secs: float = attrs.field(order=False)

    def __str__(self) -> str:
        return f"after {self.after:3} files {self.target:<11} {self.kind.name:<6} for {self.secs:.1f} s"


def schedule(seed: int, targets: Mapping[str, Sequence[Kind]], files: int) -> tuple[Fault, ...]:
    """The faults of one build, the earliest first.

    :param targets: the daemons, and what each of them may meet.
    :param files: how many the build compiles.
    """
    random = Random(seed)
    faults = []
    for _ in range(random.randint(FEWEST, MOST)):
        target = random.choice(list(targets))
        kind = random.choice(targets[target])
        faults.append(Fault(random.randrange(int(files * _LAST)), target, kind, _seconds(kind, random)))
    return tuple(sorted(faults))


def _seconds(kind: Kind, random: Random) -> float:
    match kind:
        case Kind.STOP:
            return STOP_SECS
        case Kind.KILL | Kind.TERM | Kind.LOSE:
            return round(random.uniform(0, _LONGEST_ABSENCE), 1)
        case Kind.CUT | Kind.PARTED:
            return round(random.uniform(_SHORTEST_CUT, _LONGEST_CUT), 1)
