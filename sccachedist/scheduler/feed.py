"""What viewers know of the farm, and the messages that tell them of changes.

Pure. A message is made once, in bytes, for all of them. A viewer who has a snapshot, and then takes the messages after
it, knows what the next snapshot says. When messages are made, and who gets them, is not known here.
"""

import math
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, cast

import attrs

from sccachedist.records.documents import Notice, Sample, StatusDocument
from sccachedist.records.ring import Entry
from sccachedist.scheduler.farm_documents import running_row, server_row
from sccachedist.scheduler.history import HistoryDocument
from sccachedist.scheduler.notices import KEPT as NOTICES
from sccachedist.scheduler.sight import Sight
from sccachedist.scheduler.snapshot import JobView, ServerView
from sccachedist.web.event_stream import Piece, event
from sccachedist.web.slices import dumped
from sccachedist.wire.addresses import ServerId

#: For how many messages a viewer that was away is told what it missed, and of how many bytes together.
KEPT, MOST_MISSED_BYTES = 30, 1 << 16
#: Seconds to which the time of a build server's last word is rounded, down: idle ones have no news.
SEEN_SECS = 5.0

Row = dict[str, Any]
#: A message, as those see it who see so much of the records of others: for those that there are.
Message = Mapping[Sight, Piece]


def feed_row(server: ServerView, speed: float | None, now: float) -> Row:
    """A build server, with times that do not change by themselves.

    :param now: in seconds since 1970.
    """
    row = cast(Row, server_row(server, speed))
    row["joined"] = round(now - row.pop("up_secs"), 1)
    # A little is added because the difference of two times is not exact.
    row["seen"] = math.floor((now - row.pop("seen_secs")) / SEEN_SECS + 1e-3) * SEEN_SECS
    return row


def started_row(job: JobView, client: str | None, now: float) -> Row:
    """A job that is not over, with the time at which it began."""
    row: Row = dict(running_row(job, client))
    row["began"] = round(now - row.pop("secs"), 3)
    return row


@attrs.define
class _Known:
    view: ServerView
    row: Row
    octets: bytes | None = None


class Feed:
    """What viewers know. One message after the other is made of what the methods are told, by :meth:`message`.

    :param number: of the first message, less one.
    :param history: the samples until then.
    """

    def __init__(self, number: int, history: HistoryDocument) -> None:
        self.number = number
        self._servers: dict[ServerId, _Known] = {}
        self._farm: Row = {}
        self._history = history
        self._notices: deque[Notice] = deque(maxlen=NOTICES)
        self._kept: deque[tuple[int, Message]] = deque(maxlen=KEPT)
        self._changed: list[bytes] = []
        self._gone: list[str] = []
        self._started: list[bytes] = []
        self._ended: defaultdict[Sight, list[bytes]] = defaultdict(list)

    @property
    def servers(self) -> list[ServerView]:
        """The build servers that viewers know, as they were when they were last looked at."""
        return [known.view for known in self._servers.values()]

    @property
    def addresses(self) -> list[ServerId]:
        """Where they are."""
        return list(self._servers)

    def see(self, server: ServerView, speed: float | None, now: float) -> None:
        """Look at a build server."""
        row = feed_row(server, speed, now)
        known = self._servers.get(server.server_id)
        if known is None:
            octets = _encoded(row)
            self._servers[server.server_id] = _Known(server, row, octets)
            self._changed.append(octets)
            return
        before = known.row
        if row != before:
            news = {key: value for key, value in row.items() if value != before.get(key)}
            self._changed.append(_encoded({"address": row["address"], **news}))
            known.view, known.row, known.octets = server, row, None

    def miss(self, server_id: ServerId) -> None:
        """Note that there is no build server at an address; it is not looked at again for the same message."""
        if self._servers.pop(server_id, None) is not None:
            self._gone.append(str(server_id))

    def start(self, job: JobView, client: str | None, now: float) -> None:
        """Note a job that is not over."""
        self._started.append(_encoded(started_row(job, client, now)))

    def end(self, entry: Entry, sights: Iterable[Sight]) -> None:
        """Note a request that is over.

        :param sights: what viewers see of it, in each way that there is.
        """
        for sight in sights:
            self._ended[sight].append(_encoded(sight.row(entry)))

    def message(
        self,
        status: StatusDocument,
        rates: Mapping[str, object],
        notices: Collection[Notice],
        sampled: tuple[Sample, HistoryDocument] | None,
        more: int,
        sights: Iterable[Sight],
    ) -> Message:
        """Make the next message of all that has changed; without any change there is none.

        :param notices: the new ones.
        :param sampled: a new sample, and all of them.
        :param more: how many more requests are over than those that were told of.
        """
        parts = [*self._parts(status, rates, sampled)]
        if self._changed or self._gone:
            gone = _encoded(self._gone)
            parts.append(b'"servers":{"changed":[%b],"gone":%b}' % (b",".join(self._changed), gone))
        if self._started:
            parts.append(b'"started":[%b]' % b",".join(self._started))
        if notices:
            self._notices.extend(notices)
            parts.append(b'"notices":%b' % _encoded(list(notices)))
        ended = {
            sight: [b'"ended":{"jobs":[%b],"more":%d}' % (b",".join(self._ended[sight]), more)]
            if self._ended[sight]
            else []
            for sight in sights
        }
        self._changed, self._gone, self._started = [], [], []
        self._ended.clear()
        if not parts and not any(ended.values()):
            return {}
        self.number += 1
        made = {
            sight: Piece(event("tick", b'{"tick":%d,%b}' % (self.number, b",".join(parts + jobs)), self.number))
            for sight, jobs in ended.items()
            if parts or jobs
        }
        self._kept.append((self.number, made))
        return made

    def _parts(
        self, status: StatusDocument, rates: Mapping[str, object], sampled: tuple[Sample, HistoryDocument] | None
    ) -> Iterator[bytes]:
        """What has changed of the farm."""
        farm: Row = {**status, "rates": rates}
        del farm["v"]
        up_secs = farm.pop("up_secs")
        news = {key: value for key, value in farm.items() if value != self._farm.get(key)}
        if sampled is not None or not self._farm:
            news["up_secs"] = up_secs
        self._farm |= news
        if news:
            yield b'"farm":' + _encoded(news)
        if sampled is not None:
            sample, self._history = sampled
            yield b'"sample":' + _encoded(sample)

    def since(self, number: int, sight: Sight) -> Piece | None:
        """The messages after one; None if a snapshot tells that better, or must."""
        missed = [made.get(sight) for kept, made in self._kept if kept > number]
        if number > self.number or len(missed) < self.number - number:
            return None
        if any(message is None for message in missed):  # there was no such viewer then
            return None
        found = b"".join(message.plain for message in missed if message is not None)
        return Piece(found) if len(found) <= MOST_MISSED_BYTES else None

    def rows(self) -> Iterator[bytes]:
        """The build servers, each in JSON; for :meth:`snapshot`."""
        for known in list(self._servers.values()):
            if known.octets is None:
                known.octets = _encoded(known.row)
            yield known.octets

    def snapshot(self, rows: Iterable[bytes]) -> bytes:
        """All that viewers know.

        :param rows: those of :meth:`rows`, since the last message.
        """
        farm = {**self._farm, "history": self._history}
        pieces = (
            b'{"v":1,"tick":%d,"farm":' % self.number,
            _encoded(farm),
            b',"servers":[',
            b",".join(rows),
            b'],"notices":',
            _encoded(list(self._notices)),
            b"}",
        )
        return event("snapshot", b"".join(pieces), self.number)


def _encoded(value: object) -> bytes:
    return dumped(value).encode()
