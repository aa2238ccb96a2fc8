"""A request that is admitted or refused when its headers are there.

Twisted hands a body over when all of it has come, after storing it. Here :mod:`sccachedist.web.router` first finds the
route, checks the sender's right and chooses the body's place. A refused request is answered at once, and its body is
discarded, for a while. :mod:`sccachedist.web.channel` knows how bytes become requests.
"""

import os
from collections.abc import Sequence
from io import BytesIO
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure
from twisted.web import http, server

from sccachedist.auth.bearer import IPNetwork
from sccachedist.config import ConnectionLimits
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.disks import on_disk
from sccachedist.files import remove_file
from sccachedist.printable import excerpt
from sccachedist.web.channel import Channel
from sccachedist.web.connection_limits import Connections
from sccachedist.web.deadlines import STREAM_SECS, Phase
from sccachedist.web.file_sender import send_file
from sccachedist.web.parsing import Fields, RequestLine, head_of
from sccachedist.web.port_counts import NO_ROUTE, PortCounts
from sccachedist.web.request_head import Head
from sccachedist.web.responses import FileResponse, Response, StreamResponse, UnknownRoute
from sccachedist.web.router import Call, Mounted, response_for
from sccachedist.web.turns import Turns, unhurried

log = Logger()


class Request(server.Request):
    """A request to one of our roles, on a :class:`Site`."""

    channel: Channel  # type: ignore[assignment]  # it stands in for Twisted's
    site: "Site"
    call: Call | None
    route: str
    _head: Head | None

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel, parsePOSTFormSubmission=False)
        # All that a half-sent request has, set from the start: the names lie in a table that objects of a class share.
        self.method = self.uri = self.clientproto = b""
        self.content = self.args = self.path = cast(Any, None)
        self.site = channel.site
        self.call = self._head = None
        self.route, self.began = NO_ROUTE, 0.0
        self._is_gone = False

    @property
    def quiet_log(self) -> QuietLog:
        """Where errors are logged."""
        return self.site.connections.quiet_log

    @property
    def counts(self) -> PortCounts:
        """Where they are counted."""
        return self.site.counts

    def begin(self, line: RequestLine, fields: Fields) -> bool:
        """Admit the request by its headers, or refuse it."""
        self.method, self.uri, self.clientproto = line.method, line.path, line.version
        if not fields.persistent:
            self.setHeader("Connection", "close")
        self._head, self.began = head_of(line, fields, self.channel.peer_host), self.site.reactor.seconds()
        try:
            self.take_up(self.site.routes.admit(self._head))
        except Exception as error:
            if not isinstance(error, UnknownRoute):
                self.route = self.site.routes.name_of(self._head)
            self.refuse(error)
        self._head = self._head.decided()
        return self.call is not None

    def take_up(self, call: Call) -> None:
        """Let a route answer. It may be another one than before, as long as no response has begun."""
        self.call, self.route = call, call.endpoint
        call.granted.addCallback(self._know)

    def take(self, data: bytes) -> bool:
        """Write a piece of the body to the place that the route has chosen."""
        try:
            cast(Call, self.call).body.write(data)
        except Exception as error:
            self.refuse(error)
        return self.call is not None

    def complete(self) -> None:
        """All of the body has come: run the route, or end a refused request."""
        if self.call is None:
            self.finish()
        else:
            self.content = BytesIO()  # empty: the body went elsewhere
            self.requestReceived(self.method, self.uri, self.clientproto)

    def process(self) -> None:
        """Run the route, which is known: Twisted would take the path apart to find a resource."""
        self.setHeader("Server", server.version)
        self.setHeader("Date", http.datetimeToString())
        try:
            self.site.routes.render(self)
        except Exception:
            self.processingFailed(Failure())

    def connectionLost(self, reason: Failure) -> None:
        """The sender has gone: what it sent is not kept, and a route that runs is cancelled."""
        self._is_gone = True
        self._abandon()
        super().connectionLost(reason)

    def refuse(self, error: Exception) -> None:
        """Answer with an error, before all of the request has come."""
        self._abandon(error)
        self.channel.persistent = False
        self.setHeader("Connection", "close")
        self._write(response_for(error, cast(Head, self._head), self.quiet_log, self.counts))

    def processingFailed(self, reason: Failure) -> None:
        """The route or its sending failed: respond as to any other error, where Twisted would send a page."""
        answer = response_for(cast(Exception, reason.value), cast(Head, self._head), self.quiet_log, self.counts)
        if self.startedWriting:  # what has been sent cannot be taken back
            self.unregisterProducer()
            self.channel.abort()
        else:
            self._write(answer)
            self.finish()

    def getRequestHostname(self) -> bytes:
        """Nothing: routes do not depend on what a sender calls us, and Klein fails at some names."""
        return b""

    async def send(self, answer: Response | FileResponse | StreamResponse) -> None:
        """Send a response, up to its end."""
        if isinstance(answer, StreamResponse):
            await self._stream(answer)
            return
        if isinstance(answer, Response):
            if answer.taken is None:
                self._write(answer)
                return
            try:
                self._write_head(answer, len(answer.body))
                await send_file(BytesIO(answer.body), self)
            finally:
                answer.taken()
            return
        try:
            with on_disk(answer.file.path):
                body = answer.file.path.open("rb", buffering=0)
            with body:
                if not answer.is_kept:
                    remove_file(answer.file.path)
                before = answer.head.body
                self._write_head(answer.head, len(before) + os.fstat(body.fileno()).st_size)
                await send_file(body, self, before)
        except BaseException as error:
            answer.file.taken(error)
            raise
        answer.file.taken(None)

    async def _stream(self, answer: StreamResponse) -> None:
        """Send a response that stays open, until its source or its peer ends it, or it has been open for long."""
        outlet = _Outlet(self)
        close = self.site.reactor.callLater(STREAM_SECS, outlet.end)
        try:
            self._write_head(answer.head, None, Phase.STREAMING)
            self.registerProducer(answer.source, True)
            self.write(b"")
            self.channel.write(b"")  # the head goes at once
            if self.method != b"HEAD":
                answer.source.attach(outlet)
                await outlet.over
            self.unregisterProducer()
        finally:
            if close.active():
                close.cancel()
            answer.source.detach()

    def know_sender(self) -> None:
        """Note that the sender has shown a good token."""
        if not self._is_gone:
            self.site.connections.know(self.channel)

    def _let_many_come(self) -> None:
        """Note that the sender's connections do not count for its address."""
        if not self._is_gone:
            self.site.connections.count_no_more(self.channel)

    def _know(self, granted: object) -> object:
        """Note that the sender has shown a good token, unless none was needed."""
        is_known = self.call is not None and not self.call.is_public and not getattr(granted, "is_stranger", False)
        if is_known:
            self.know_sender()
        if is_known and getattr(granted, "is_uncounted", False):
            self._let_many_come()
        return granted

    def _abandon(self, error: Exception | None = None) -> None:
        if self.call is not None:
            self.call.body.abort(error)
            self.call.granted.addErrback(lambda _: None)
            self.call = None

    def _write(self, answer: Response) -> None:
        self._write_head(answer, len(answer.body))
        self.write(answer.body)
        if not answer.body:
            self.channel.write(b"")  # of a refused request, the end comes later

    def _write_head(self, answer: Response, length: int | None, phase: Phase = Phase.SENDING) -> None:
        """Begin a response.

        :param length: of its body; None if it goes in chunks, up to the end of the connection.
        """
        self.channel.begin_sending(phase)
        self.setResponseCode(answer.status)
        for name, value in answer.headers:
            self.setHeader(name, value)
        if length is not None:
            self.setHeader("Content-Length", str(length))
            return
        self.channel.persistent = False
        self.setHeader("Connection", "close")


class _Outlet:
    """The body of a response that stays open."""

    def __init__(self, request: Request) -> None:
        self.write = request.write
        self.over: Deferred[None] = Deferred()

    def end(self) -> None:
        """Let the response end."""
        if not self.over.called:
            self.over.callback(None)


class Site(server.Site):
    """Serves the routes of a role: with our own requests, on connections within limits.

    :param exempt: the networks for which ``connections_per_address`` does not hold.
    :param turns: shares the reactor's time; without it, no connection waits for a turn.
    """

    displayTracebacks = False
    noisy = False

    def __init__(
        self,
        routes: Mounted,
        reactor: Any,
        limits: ConnectionLimits | None = None,
        exempt: Sequence[IPNetwork] = (),
        turns: Turns | None = None,
    ) -> None:
        self.routes = routes
        self.limits = limits or ConnectionLimits()
        self.counts = PortCounts()
        self.connections = Connections(self.limits, exempt, reactor, self.counts)
        self.turns = turns or unhurried(reactor)
        super().__init__(routes, reactor=reactor)

    def take_limits(self, limits: ConnectionLimits, exempt: Sequence[IPNetwork] = ()) -> None:
        """Let other limits hold from now on: those of each connection for new ones, their number for all."""
        self.limits = self.connections.limits = limits
        self.connections.exempt = exempt

    def buildProtocol(self, addr: IAddress | None) -> Channel | None:  # type: ignore[override]  # not HTTP/2
        """A channel for a new connection; None if it is refused, and then it is closed at once."""
        host = cast(Any, addr).host
        if not self.connections.make_room_for(host):
            return None
        return Channel(self, host, self.limits, self.connections, self.turns, Request)

    def log(self, request: http.Request) -> None:
        """Count each request that was answered, and log a line for operators that want to see them all."""
        route = cast(Request, request).route
        self.counts.answered[route, request.code] += 1
        self.counts.timed(route, self.reactor.seconds() - cast(Request, request).began)
        log.debug(
            "{method} {uri} answered {code}",
            method=excerpt(request.method.decode("latin-1")),
            uri=excerpt(request.uri.decode("latin-1")),
            code=request.code,
        )
