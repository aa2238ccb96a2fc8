"""Dials gateways, and dials again: one that answers has a session, one that does not is asked again after a pause.

A name may have several addresses, and each may be a gateway of its own. A gateway that has several lets a worker in by
one of them, so the others are dialled in vain until that one is lost. What is done in a session,
:mod:`sccachedist.worker.session` knows.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from ipaddress import ip_address
from itertools import count
from typing import Protocol
from urllib.parse import urlsplit

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.python.failure import Failure

from sccachedist.daemon.logs import Logger
from sccachedist.errors import PeerError
from sccachedist.wire.gateway import WorkerHello
from sccachedist.worker.gateway_calls import GatewayCalls
from sccachedist.worker.session import Desk, GatewaySession

log = Logger()

#: The shortest and the longest pause between two tries, in seconds.
LEAST_SECS, MOST_SECS = 0.1, 10.0
#: Seconds of a session after which the next pause is a short one again.
STEADY_SECS = 10.0
#: Seconds between two looks at which addresses the names have.
LOOKUP_SECS = 30.0


class MakeCalls(Protocol):
    """Makes the calls to a gateway."""

    def __call__(self, url: str, name: str) -> GatewayCalls:
        """The calls.

        :param url: its origin, with an address.
        :param name: by which its certificate is judged.
        """


def pause_secs(failures: int, drawn: float) -> float:
    """Seconds until a gateway is dialled again.

    :param failures: how many tries in a row have failed before the last one.
    :param drawn: a number from 0 to 1, at random: workers that lost a gateway together do not come back together.
    """
    return float(min(MOST_SECS, LEAST_SECS * 2 ** min(failures, 20)) * (0.5 + drawn / 2))


@attrs.define(eq=False)
class Dialler:
    """Keeps a session with one gateway.

    :param hello: returns what the gateway is told.
    :param drawn: draws a number from 0 to 1.
    :ivar session: the session; None if there is none.
    :ivar is_over: whether this is not to dial again.
    """

    _calls: GatewayCalls
    _hello: Callable[[], WorkerHello]
    _desk: Desk
    _drawn: Callable[[], float]
    session: GatewaySession | None = None
    is_over: bool = False
    _failures: int = 0
    _said: str = ""

    async def run(self) -> None:
        """Dial, again and again, until this is cancelled, or is over and its session ends.

        The end of its session may cause its own: then it is cancelled while it runs, which has no effect.
        """
        clock = self._desk.clock
        try:
            while True:
                began = clock.seconds()
                try:
                    await self._once()
                except PeerError as error:
                    self._tell(error)
                if self.is_over:
                    return
                if clock.seconds() - began >= STEADY_SECS:
                    self._failures = 0
                await deferLater(clock, pause_secs(self._failures, self._drawn()))
                self._failures += 1
        finally:
            await self._calls.close()

    async def _once(self) -> None:
        welcome = await self._calls.hello(self._hello())
        log.info("gateway {gateway}: asked for jobs from now on", gateway=self._calls.url)
        self._said = ""
        self.session = GatewaySession(self._calls, welcome, self._desk)
        try:
            await self.session.run()
        finally:
            self.session = None

    def _tell(self, error: PeerError) -> None:
        """Log why there is no session, once for each reason."""
        if (said := str(error)) != self._said:
            self._said = said
            log.warn("gateway {gateway}: no jobs from there: {error}", gateway=self._calls.url, error=said)


class Diallers(Service):
    """Keeps sessions with all gateways.

    :param urls: of gateways, as the configuration has them.
    :param lookup: returns the addresses of a host and a port, those of one IP version only; raises OSError.
    :param hello: from this worker's nonce, and from the way by which a gateway is dialled, to what that is told.
    """

    name = "diallers"

    def __init__(
        self,
        urls: Sequence[str],
        lookup: Callable[[str, int], Awaitable[Sequence[str]]],
        calls: MakeCalls,
        hello: Callable[[int, int], WorkerHello],
        desk: Desk,
        drawn: Callable[[], float],
        clock: IReactorTime,
    ) -> None:
        self._urls, self._lookup, self._calls, self._hello = urls, lookup, calls, hello
        self._desk, self._drawn = desk, drawn
        self._nonce, self._ways = secrets.randbits(64), count()
        self._running: dict[tuple[str, str], tuple[Dialler, Deferred[None]]] = {}
        self._looks = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._looks.clock = clock

    @property
    def dialled(self) -> int:
        """How many gateways there are, connected or not."""
        return len(self._running)

    def startService(self) -> None:
        """Begin to dial."""
        super().startService()
        self._looks.start(LOOKUP_SECS).addErrback(
            lambda failure: log.failure("gateways are not looked up any more", failure)
        )

    def stopService(self) -> Deferred[list[None]]:
        """End all sessions, and the jobs that are there."""
        super().stopService()
        if self._looks.running:
            self._looks.stop()
        running, self._running = self._running, {}
        for dialler, work in running.values():
            dialler.is_over = True
            work.cancel()
        return gatherResults([work for _, work in running.values()])

    async def _look(self) -> None:
        found: set[tuple[str, str]] = set()
        for url in self._urls:
            known = {key for key in self._running if key[0] == url}
            found |= {(url, address) for address in await self._addresses(url)} or known
        if not self.running:
            return
        for key in found - self._running.keys():
            self._dial(*key)
        for key in self._running.keys() - found:  # a session goes on as long as it lasts
            dialler, work = self._running[key]
            if dialler.session is None:
                del self._running[key]
                work.cancel()

    async def _addresses(self, url: str) -> Sequence[str]:
        host, port = _host_and_port(url)
        try:
            ip_address(host)
        except ValueError:
            try:
                return await self._lookup(host, port)
            except OSError as error:
                log.warn("gateway {gateway}: its name has no address: {error}", gateway=url, error=str(error))
                return ()
        return (host,)

    def _dial(self, url: str, address: str) -> None:
        host, port = _host_and_port(url)
        where = f"[{address}]" if ":" in address else address
        hello = partial(self._hello, self._nonce, next(self._ways))
        dialler = Dialler(self._calls(f"https://{where}:{port}", host), hello, self._desk, self._drawn)
        work = Deferred.fromCoroutine(dialler.run())
        self._running[url, address] = dialler, work.addErrback(_ended)


def _host_and_port(url: str) -> tuple[str, int]:
    split = urlsplit(url)
    return split.hostname or "", split.port or 443


def _ended(failure: Failure) -> None:
    if not failure.check(CancelledError):
        log.failure("a gateway is dialled no more", failure)
