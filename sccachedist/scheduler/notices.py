"""What happened to the farm lately, in sentences: an observer of the scheduler's events, told by others as well. Pure.

Jobs are no news, for there are thousands: :mod:`sccachedist.scheduler.job_records` has them.
"""

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Literal

from sccachedist.budgets import Party
from sccachedist.outcomes import Refusal
from sccachedist.printable import excerpt
from sccachedist.records.documents import Notice
from sccachedist.scheduler.events import (
    Departure,
    Event,
    RequestRefused,
    ServerAvoided,
    ServerDrained,
    ServerJoined,
    ServerLeft,
    ServerUnfit,
)

#: How many are kept.
KEPT = 200
#: Seconds for which a client whose token is refused is not told of again, and how many such clients are told of in
#: that time: strangers push nothing else out.
REFUSED_SECS, MOST_REFUSED = 600.0, 20
#: The most characters of a text.
_LONGEST = 500

Kind = Literal[
    "server_joined", "server_left", "server_avoided", "server_unfit", "server_drained", "refused", "action", "leader"
]


class Notices:
    """The latest notices.

    :param began: seconds since 1970 when the clock of the events was 0; ``seconds``: that clock.
    :param name_of: a client as records name it.

    ``count`` says how many there have been.
    """

    def __init__(
        self, began: float, seconds: Callable[[], float], name_of: Callable[[Party | None], str | None]
    ) -> None:
        self._began, self._seconds, self._name_of = began, seconds, name_of
        self._kept: deque[Notice] = deque(maxlen=KEPT)
        self._refused: dict[str, float] = {}
        self.count = 0

    def __call__(self, event: Event) -> None:
        """Tell of an event, if it is worth it."""
        match event:
            case RequestRefused(refusal=Refusal.UNAUTHORIZED, client=client, detail=detail):
                self._refuse(self._name_of(client) or "", detail)
            case ServerJoined(server_id=server, num_cpus=cpus):
                self.tell("server_joined", str(server), f"it joined, with {cpus} CPU{'s' * (cpus != 1)}")
            case ServerLeft(server_id=server, why=why):
                self.tell("server_left", str(server), _LEFT[why])
            case ServerAvoided(server_id=server, at=at, until=until, why=why):
                self.tell("server_avoided", str(server), f"it is avoided for {until - at:.0f} s: {why.value}")
            case ServerUnfit(server_id=server, why=why):
                said = f"it says that it is unfit for jobs: {why}" if why else "it is fit for jobs again"
                self.tell("server_unfit", str(server), said)
            case ServerDrained(server_id=server, drained=drained, by=by, reason=reason):
                said = "it is drained" if drained else "it is drained no longer"
                self.tell("server_drained", str(server), f"{said}: {reason}" if reason else said, by)

    def tell(self, kind: Kind, about: str, text: str, by: str | None = None) -> None:
        """Add a notice.

        :param about: what it is about, such as the address of a build server.
        :param text: a stranger's words may be in it.
        :param by: the name of the person who did it.
        """
        at = round(self._began + self._seconds(), 3)
        self._kept.append(Notice(at=at, kind=kind, about=excerpt(about), text=excerpt(text, _LONGEST), by=by))
        self.count += 1

    def latest(self, count: int = KEPT) -> list[Notice]:
        """The last ones, the oldest first."""
        return list(islice(self._kept, max(0, len(self._kept) - count), None))

    def _refuse(self, client: str, detail: str) -> None:
        now = self._seconds()
        while self._refused and now - next(iter(self._refused.values())) > REFUSED_SECS:
            del self._refused[next(iter(self._refused))]
        if client not in self._refused and len(self._refused) < MOST_REFUSED:
            self._refused[client] = now
            self.tell("refused", client, f"it was refused with 401, so its builds fail: {detail}")


_LEFT = {
    Departure.SILENT: "it fell silent, and was dropped",
    Departure.GONE: "it has ended",
    Departure.REVOKED: "it is revoked (server_auth.revoked), and was dropped",
    Departure.FORGOTTEN: "it was silent, and is forgotten",
    Departure.REPLACED: "it was started again, or another one came to its address",
}
