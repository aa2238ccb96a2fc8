"""Feeds monitors of Icecream while there are any: an observer of the scheduler's events, and a look at it now and then.

Without a monitor it does nothing and knows nothing. What is shown is :mod:`sccachedist.scheduler.monitor_events`; how a
monitor is written to is :mod:`sccachedist.monitor.port`.
"""

from collections.abc import Callable
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from sccachedist.daemon.logs import Logger
from sccachedist.daemon.periodic import PeriodicService
from sccachedist.daemon.startup import AtStop, check_address
from sccachedist.monitor.port import Monitor, MonitorPort
from sccachedist.scheduler.events import Event
from sccachedist.scheduler.farm_views import SOME, FarmViews
from sccachedist.scheduler.monitor_events import MonitorEvents
from sccachedist.web.listener import Listen, Listener
from sccachedist.wire.addresses import ServerId

log = Logger()

#: Seconds between two writes to monitors: what happens in between goes together.
WRITE_SECS = 0.2
#: Seconds between two looks at the build servers: how many of their slots are in use.
LOOK_SECS = 5.0
#: In whose name the reactor's time is taken for that.
_PARTY = "monitors"


class MonitorFeed:
    """The monitors that have logged in, and what they are told.

    :param begin: makes an empty picture, for the first of them.
    """

    _events: MonitorEvents | None = None
    _term: object = None
    _look_under_way: Deferred[None] | None = None
    _next_look = 0.0
    _has_looked = False

    def __init__(self, views: FarmViews, begin: Callable[[], MonitorEvents], clock: IReactorTime) -> None:
        self._views, self._begin, self._clock = views, begin, clock
        self._watched, self._new = set[Monitor](), set[Monitor]()
        self._beats = PeriodicService(WRITE_SECS, self._beat, clock)

    def service(self, address: ServerId, listen: Listen) -> MultiService:
        """The port for them, which has to be started.

        :raises ConfigError: this process cannot listen there.
        """
        check_address("monitor.address", address)
        port, service = MonitorPort(self.joined, self.left, self._clock), MultiService()

        async def close() -> None:
            port.close()

        Listener(address, port, listen).setServiceParent(service)
        AtStop(close).setServiceParent(service)
        return service

    def __call__(self, event: Event) -> None:
        """Show an event, if there is a monitor."""
        if self._events is not None:
            self._events(event)

    def joined(self, monitor: Monitor) -> None:
        """Tell a monitor what happens from now on; before that, all that there is."""
        self._new.add(monitor)
        if self._events is None:
            self._events, self._term = self._begin(), self._views.terms.current
            self._beats.startService()

    def left(self, monitor: Monitor) -> None:
        """A monitor has gone. After the last one, all is forgotten."""
        self._watched.discard(monitor)
        self._new.discard(monitor)
        if self._events is not None and not self._watched and not self._new:
            self._beats.stopService()
            self._events, self._term, self._next_look, self._has_looked = None, None, 0.0, False
            if self._look_under_way is not None:
                self._look_under_way.cancel()

    def _beat(self) -> None:
        events, now = self._events, self._clock.seconds()
        if events is None:
            return
        if self._views.terms.current is not self._term:  # what is shown has no end in the new term
            for monitor in (*self._watched, *self._new):
                monitor.close()
            return
        told = events.picture.take()
        if told:
            for monitor in tuple(self._watched):
                monitor.tell(told)
        if self._has_looked and self._new:
            whole = events.picture.whole()
            greeted, self._new = self._new, set()
            self._watched |= greeted
            for monitor in greeted:
                monitor.greet(whole)
        if self._look_under_way is None and now >= self._next_look:
            self._next_look = now + LOOK_SECS
            self._look_under_way = Deferred.fromCoroutine(self._look(events))
            self._look_under_way.addBoth(self._looked)

    async def _look(self, events: MonitorEvents) -> None:
        """Look at all build servers, and at the jobs that began before there was a monitor."""
        async for some in self._views.slices.of(_PARTY, self._views.terms.current.servers(SOME)):
            for server in some:
                events.look_at_server(server)
        if not self._has_looked:
            async for job in self._views.jobs(_PARTY):
                events.look_at_job(job, self._clock.seconds())
        self._has_looked = True

    def _looked(self, result: Any) -> None:
        self._look_under_way = None
        if isinstance(result, Failure) and not result.check(CancelledError):
            log.failure("a look at the farm for monitors failed", result)
