"""Tells viewers what changes in the farm, once a second, and costs nothing without viewers.

One message is made for all viewers, in slices. In a large farm, some of the build servers are looked at each second, in
turn, so the cost has a bound. :mod:`sccachedist.scheduler.feed` decides what a message says, and
:mod:`sccachedist.web.event_stream` at which pace each viewer gets it.
"""

from collections import deque

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from sccachedist.budgets import Party
from sccachedist.daemon.logs import Logger
from sccachedist.records.documents import Attention, Recent
from sccachedist.scheduler.attention import ServerFindings
from sccachedist.scheduler.farm_changes import FarmChanges
from sccachedist.scheduler.farm_status import FarmStatus
from sccachedist.scheduler.farm_views import FarmViews
from sccachedist.scheduler.feed import Feed, Message
from sccachedist.scheduler.history import STEP_SECS, Ends, History
from sccachedist.scheduler.notices import Notices
from sccachedist.scheduler.sight import Sight
from sccachedist.web.event_stream import GZIP_HEAD, Piece, Viewer, packed, retry
from sccachedist.wire.addresses import ServerId

log = Logger()

#: Seconds between two messages. There is a sample each ten seconds, so no stream is silent for longer.
TICK_SECS = 1.0
#: Milliseconds after which a browser comes back.
RETRY_MSECS = 3000
#: Build servers that are looked at for one message, besides those to which something happened.
MOST_LOOKED_AT = 100
#: Viewers that are sent a message in one turn of the reactor.
SENT_AT_ONCE = 10
#: In whose turn messages are made.
_PARTY = "viewers"


@attrs.define
class _Lately:
    """What became of requests lately, and when that was found.

    It outlasts the last viewer, so that a viewer that comes and goes again and again costs no more than one that stays.
    """

    found: tuple[Recent, list[Attention]] | None = None
    at: float = 0.0


@attrs.frozen
class ViewerPlace:
    """One viewer's.

    :param party: its address.
    :param sight: what it sees of the records of others.
    :param last: the number of the last message that it had when its connection broke; None if it is new.
    :param is_packed: whether its stream is compressed.
    """

    party: Party
    sight: Sight
    last: int | None = None
    is_packed: bool = False


class Watching:
    """The viewers of a farm.

    :param places: how many may watch. An address may have as many as are still free, so half of them at most: one is
        left for the next (:mod:`sccachedist.budgets` has the rule).
    :param changes: collects what happens, while there is a viewer.
    """

    def __init__(
        self,
        places: int,
        views: FarmViews,
        status: FarmStatus,
        notices: Notices,
        changes: FarmChanges,
        clock: IReactorTime,
    ) -> None:
        self.places, self._views, self._status, self._notices = places, views, status, notices
        self._changes, self._clock = changes, clock
        self._history = History()
        self._lately = _Lately()
        self._viewers: dict[Viewer, ViewerPlace] = {}
        self._show: _Show | None = None
        self._number = 0

    def __len__(self) -> int:
        return len(self._viewers)

    def has_place_for(self, party: Party) -> bool:
        """Whether one more may watch from an address."""
        of_party = sum(place.party == party for place in self._viewers.values())
        return of_party < self.places - len(self._viewers)

    def viewer(self, place: ViewerPlace) -> Viewer:
        """A viewer, which takes its place when its response begins."""

        def come(viewer: Viewer) -> None:
            self._viewers[viewer] = place
            if self._show is None:
                self._show = self._begin()
            self._show.wake()

        def restart(_: Viewer) -> None:
            if self._show is not None:
                self._show.wake()

        begin = retry(RETRY_MSECS)
        return Viewer(come, self._go, restart, GZIP_HEAD + b"".join(packed(begin)) if place.is_packed else begin)

    def sample(self) -> None:
        """Note the numbers of the last ten seconds; called every :data:`~sccachedist.scheduler.history.STEP_SECS`."""
        records = self._views.records
        self._history.add(records.now(), self._views.terms.current.totals(), Ends.of(records.counts))

    async def stop(self) -> None:
        """End all streams, and let none begin."""
        self.places = 0
        if self.send_away():  # so that the ends are on their way before the process ends
            await self._views.slices.rest(_PARTY)

    def send_away(self) -> int:
        """End all streams: who wants to see more comes again. Returns how many there were."""
        viewers = list(self._viewers)
        for viewer in viewers:
            viewer.end()
        return len(viewers)

    def _begin(self) -> "_Show":
        # Numbers go up over a restart of the scheduler, so that no number of before it is taken for one of now.
        self._number = max(self._number + 1, int(self._views.records.now()))
        self._changes.watch()
        feed = Feed(self._number, self._history.document())
        return _Show(
            feed,
            self._viewers,
            self._views,
            self._status,
            self._notices,
            self._history,
            self._lately,
            self._changes,
            self._clock,
        )

    def _go(self, viewer: Viewer) -> None:
        self._viewers.pop(viewer, None)
        if not self._viewers and self._show is not None:
            self._show.end()
            self._number = self._show.feed.number
            self._show = None
            self._changes.ignore()


class _Show:
    """From the first viewer's coming to the last one's going. Its work is done by one coroutine at a time."""

    def __init__(
        self,
        feed: Feed,
        viewers: dict[Viewer, ViewerPlace],
        views: FarmViews,
        status: FarmStatus,
        notices: Notices,
        history: History,
        lately: "_Lately",
        changes: FarmChanges,
        clock: IReactorTime,
    ) -> None:
        self.feed, self._viewers = feed, viewers
        self._views, self._status, self._notices, self._history = views, status, notices, history
        self._lately, self._changes, self._clock = lately, changes, clock
        self._term = views.terms.current
        self._round: deque[ServerId] = deque()
        self._noticed, self._sampled = 0, history.count
        self._speeds: dict[str, float] = {}
        self._is_due, self._is_working, self._is_over = True, False, False
        self._timer: IDelayedCall = clock.callLater(TICK_SECS, self._tick)

    def end(self) -> None:
        """End for good."""
        self._is_over = True
        self._timer.cancel()

    def wake(self) -> None:
        """Do what there is to do, unless that is being done."""
        if not self._is_working:
            self._is_working = True
            Deferred.fromCoroutine(self._work()).addErrback(lambda failure: log.failure("viewers", failure))

    def _tick(self) -> None:
        self._timer = self._clock.callLater(TICK_SECS, self._tick)
        self._is_due = True
        self.wake()

    async def _work(self) -> None:
        try:
            while not self._is_over and (self._is_due or self._behind()):
                if self._is_due:
                    self._is_due = False
                    await self._tell()
                await self._restart()
        finally:
            self._is_working = False

    def _behind(self) -> list[Viewer]:
        return [viewer for viewer in self._viewers if viewer.is_behind and viewer.takes]

    # The next message.

    async def _tell(self) -> None:
        """Make a message of what has changed, and send it."""
        self._speeds = await self._views.speeds(_PARTY)
        if self._is_over:
            return
        sights = {place.sight for place in self._viewers.values()}
        changes, records = self._changes.take(), self._views.records
        await self._look(changes.servers)
        async for job in self._views.slices.of(_PARTY, self._term.of_jobs(changes.started)):
            self.feed.start(job, records.name_of(job.client), records.now())
        async for entry in self._views.slices.of(_PARTY, changes.ended):
            self.feed.end(entry, sights)
        recent, attention = await self._of_lately()
        if self._is_over:
            return
        sampled = None
        if self._sampled != self._history.count and (sample := self._history.last) is not None:
            self._sampled, sampled = self._history.count, (sample, self._history.document())
        notices = self._notices.latest(self._notices.count - self._noticed)
        self._noticed = self._notices.count
        status = self._status.document(recent, attention)
        rates = self._history.rates(self._term.totals())
        made = self.feed.message(status, rates, notices, sampled, changes.more, sights)
        if made:
            await self._send(made)

    async def _of_lately(self) -> tuple[Recent, list[Attention]]:
        """What became of requests lately, and what an administrator should look at: some seconds ago at most."""
        lately = self._lately
        if lately.found is None or self._clock.seconds() - lately.at >= STEP_SECS:
            lately.at, findings = self._clock.seconds(), ServerFindings(self._views.records.now())
            async for server in self._views.slices.of(_PARTY, self.feed.servers):
                findings.add(server)
            lately.found = await self._status.usual(_PARTY, findings)
        return lately.found

    async def _look(self, changed: dict[ServerId, None]) -> None:
        """Look at the build servers to which something happened, and at those whose turn it is."""
        known = self.feed.addresses
        is_new_term = self._views.terms.current is not self._term
        if is_new_term or not self._round:
            self._term = self._views.terms.current
            self._round = deque(dict.fromkeys([*self._term.server_ids(), *known]))
        count = len(self._round) if is_new_term or not known else min(MOST_LOOKED_AT, len(self._round))
        turn = [self._round.popleft() for _ in range(count)]
        records = self._views.records
        async for server_id in self._views.slices.of(_PARTY, dict.fromkeys([*changed, *turn])):
            views = self._term.of_servers((server_id,))
            for view in views:
                self.feed.see(view, self._speeds.get(str(server_id)), records.now())
            if not views:
                self.feed.miss(server_id)

    async def _send(self, message: Message) -> None:
        """Send each viewer its message, to some of them in one turn of the reactor."""
        for number, viewer in enumerate(list(self._viewers), 1):
            place = self._viewers.get(viewer)
            if place is not None and place.sight in message:
                viewer.send(message[place.sight].octets(is_packed=place.is_packed))
            if number % SENT_AT_ONCE == 0:
                await self._views.slices.rest(_PARTY)
            if self._is_over:  # who has come since gets it from another one
                return

    # Viewers that have just come, or were behind.

    async def _restart(self) -> None:
        """Send a snapshot to the viewers that need one, and to others what they missed."""
        snapshot: Piece | None = None
        for number, viewer in enumerate(self._behind(), 1):
            if number % SENT_AT_ONCE == 0:
                await self._views.slices.rest(_PARTY)
            place = self._viewers.get(viewer)
            if self._is_over or place is None:
                continue
            self._viewers[viewer] = attrs.evolve(place, last=None)
            missed = None if place.last is None else self.feed.since(place.last, place.sight)
            if missed is None and snapshot is None:
                snapshot = await self._snapshot()
            restarted = missed if missed is not None else snapshot
            if not self._is_over and viewer.is_behind and viewer.takes and restarted is not None:
                viewer.restart(restarted.octets(is_packed=place.is_packed))

    async def _snapshot(self) -> Piece:
        """All that viewers know. It is long, so it is compressed bit by bit."""
        slices = self._views.slices
        plain = self.feed.snapshot([row async for row in slices.of(_PARTY, self.feed.rows())])
        if not any(place.is_packed for place in self._viewers.values()):
            return Piece(plain)
        parts = []
        for part in packed(plain):
            parts.append(part)
            await slices.rest(_PARTY)
        return Piece(plain, b"".join(parts))
