"""What administrators have taken out of service, by whom, why and until when: build servers, and the whole farm.

Pure. It outlasts the terms of a scheduler and, in a file (:mod:`sccachedist.scheduler.state_file`), its restarts: so
times are seconds since 1970. What it means for jobs is not known here.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypedDict

import attrs

from sccachedist.errors import DecodeError
from sccachedist.records.documents import DrainRow, PauseRow
from sccachedist.wire.addresses import ServerId

#: The most addresses that are drained, and the most characters of a name or a reason.
MOST_DRAINS, MOST_TEXT = 10_000, 500
#: No time is later: in some 30,000 years.
_LAST = 1e12


class StateDocument(TypedDict):
    """What the file has. ``drains`` by address."""

    v: int
    drains: dict[str, DrainRow]
    paused: PauseRow | None


@attrs.frozen
class Drain:
    """A build server gets no jobs.

    :param by: who wants that; ``reason`` may be empty.
    :param until: when that ends by itself; None for never.
    """

    by: str = ""
    reason: str = ""
    since: float = 0.0
    until: float | None = None

    def to_json(self) -> DrainRow:
        """As rows and files have it."""
        return DrainRow(by=self.by, reason=self.reason, since=self.since, until=self.until)


@attrs.frozen
class Pause:
    """No request gets a slot."""

    by: str
    reason: str
    since: float

    def to_json(self) -> PauseRow:
        """As documents and files have it."""
        return PauseRow(by=self.by, reason=self.reason, since=self.since)


class OutOfService:
    """All of it."""

    def __init__(self) -> None:
        self._drains: dict[ServerId, Drain] = {}
        #: The drained addresses, whether there are build servers or not.
        self.drains: Mapping[ServerId, Drain] = MappingProxyType(self._drains)
        self._pause: Pause | None = None
        self._observers: list[Callable[[], None]] = []

    def observe(self, observer: Callable[[], None]) -> None:
        """Have a function called after each change."""
        self._observers.append(observer)

    @property
    def pause(self) -> Pause | None:
        """Why no request gets a slot; None if requests get some."""
        return self._pause

    def drain(self, server_id: ServerId, drain: Drain | None) -> None:
        """Note that an address is drained, or with None that it is not."""
        if drain is None:
            self._drains.pop(server_id, None)
        else:
            self._drains[server_id] = drain
        self._tell()

    def set_pause(self, pause: Pause | None) -> None:
        """Pause the farm, or with None let it go on."""
        self._pause = pause
        self._tell()

    def due(self, now: float) -> list[ServerId]:
        """The addresses whose drains are to end by now."""
        return [key for key, drain in self._drains.items() if drain.until is not None and drain.until <= now]

    def to_json(self) -> StateDocument:
        """As the file has it."""
        drains = {str(server_id): drain.to_json() for server_id, drain in self._drains.items()}
        return StateDocument(v=1, drains=drains, paused=None if self._pause is None else self._pause.to_json())

    def take(self, document: object) -> None:
        """Take over what a file has; all of it or nothing.

        :raises DecodeError: it is no such document.
        """
        match document:
            case {"v": 1, "drains": dict(drains), "paused": paused} if len(drains) <= MOST_DRAINS:
                read = {ServerId.parse(key): _drain(value) for key, value in drains.items()}
                pause = None if paused is None else Pause(*_facts(paused))
            case _:
                raise DecodeError("it is no state of a scheduler, or of a later release")
        self._drains.clear()
        self._drains.update(read)
        self._pause = pause

    def copy(self) -> "OutOfService":
        """The same as it is now, without observers."""
        copy = OutOfService()
        copy._drains.update(self._drains)
        copy._pause = self._pause
        return copy

    def recall(self, document: object, before: "OutOfService") -> None:
        """Take over what was kept elsewhere, but for what has changed here meanwhile.

        :param before: what it was here, before that was asked for.
        :raises DecodeError: it is no such document; nothing has changed.
        """
        kept = OutOfService()
        kept.take(document)
        for server_id in {**self._drains, **kept.drains}:
            if self._drains.get(server_id) == before.drains.get(server_id):
                self._drains.pop(server_id, None)
                if server_id in kept.drains and len(self._drains) < MOST_DRAINS:
                    self._drains[server_id] = kept.drains[server_id]
        if self._pause == before.pause:
            self._pause = kept.pause
        self._tell()

    def _tell(self) -> None:
        for observer in self._observers:
            observer()


def _drain(value: object) -> Drain:
    until = value.get("until") if isinstance(value, dict) else None
    return Drain(*_facts(value), None if until is None else _time(until))


def _facts(value: object) -> tuple[str, str, float]:
    match value:
        case {"by": str(by), "reason": str(reason), "since": since} if max(len(by), len(reason)) <= MOST_TEXT:
            return by, reason, _time(since)
    raise DecodeError("expected by, reason and since")


def _time(value: object) -> float:
    if type(value) not in (int, float) or not 0 <= value <= _LAST:  # type: ignore[operator]
        raise DecodeError("expected a time")
    return float(value)  # type: ignore[arg-type]
