"""Log lines of a gateway's workers: who comes, leaves, is lost and comes back. What follows is not known here."""

import attrs

from sccachedist.bounded import remember
from sccachedist.daemon.logs import Logger
from sccachedist.printable import excerpt
from sccachedist.wire.gateway import WorkerHello

log = Logger()

#: Lost workers of which it is known since when they are.
MOST_LOST = 1024
_LONGEST_NAME = 100


@attrs.define
class WorkerLog:
    """Tells of workers, by what they said when they came."""

    _lost: dict[int, float] = attrs.field(factory=dict, init=False)

    def came(self, hello: WorkerHello, now: float) -> None:
        """One has a session."""
        lost = self._lost.pop(hello.nonce, None)
        form = "worker {name} of {cpus} CPUs is here"
        if lost is None:
            log.info(form, name=_name(hello), cpus=hello.cpus)
        else:
            form += " again, {secs:.0f} s after it was lost"
            log.info(form, name=_name(hello), cpus=hello.cpus, secs=now - lost)

    def leaves(self, hello: WorkerHello) -> None:
        """One wants no more jobs."""
        log.info("worker {name} leaves", name=_name(hello))

    def left(self, hello: WorkerHello) -> None:
        """One has closed its connection that had said so, and has no jobs."""
        log.info("worker {name} has left", name=_name(hello))

    def lost(self, hello: WorkerHello, why: str, now: float) -> None:
        """One is lost."""
        log.warn("worker {name} {why}: its jobs go to others", name=_name(hello), why=why)
        remember(self._lost, hello.nonce, now, MOST_LOST)


def _name(hello: WorkerHello) -> str:
    return excerpt(hello.name, _LONGEST_NAME)
