"""Routes of a role: Klein finds them, one envelope surrounds them all.

A role's routes are methods of one or more classes of :class:`Routes`. When a request's headers are there,
:meth:`Mounted.admit` finds the route, checks whether the sender is allowed, and opens the body. When the body has come,
:class:`Mounted` lets Klein call the route with what the sender was granted and what the body held. The result or error
becomes the response (:mod:`sccachedist.web.responses`). What a route does is not known here.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, Protocol, cast
from uuid import uuid4

import attrs
from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, ValidationError

from sccachedist.auth.bearer import crowd_of
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import AmbiguousRequest, DecidedElsewhere, DecodeError, LimitExceeded, SccachedistError
from sccachedist.printable import excerpt
from sccachedist.web.bodies import Body, no_body
from sccachedist.web.port_counts import NO_ROUTE, PortCounts
from sccachedist.web.request_head import Head
from sccachedist.web.responses import (
    FileResponse,
    MessageFile,
    Response,
    StreamResponse,
    UnknownRoute,
    error_response,
    file_response,
    incident_response,
    message_response,
    prefers_json,
)
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import Codec

log = Logger()

#: The most characters of a path for which a route is looked for: no real one has more than a third of that.
LONGEST_PATH = 256
#: Headers that decide something. Of two, one may be a stranger's that a proxy has passed on beside its own.
DECISIVE = ("authorization", "content-type", "x-real-ip")
#: Characters of an error that are logged: some quote what a sandbox said.
_LONGEST_REASON = 500

Allow = Callable[..., Coroutine[Deferred[Any], Any, Any]]
OpenBody = Callable[..., Body[Any]]
Route = Callable[..., Awaitable[Any]]


class RunsRoutes(Protocol):
    """Runs routes by their names, as a Klein app does."""

    def execute_endpoint(self, endpoint: str, /, *args: Any, **ids: Any) -> Any:
        """Run one; the Deferred fires when its response is sent."""


@attrs.frozen
class Call:
    """A request that was admitted.

    :param head: method and path; the headers have served their purpose.
    :param as_json: whether the sender prefers the response in JSON.
    :param endpoint: the name of its route; ``ids`` are those in its path.
    :param granted: fires with what the route's ``allow`` returns, or fails with a refusal.
    :param app: has the route: Klein's app, or one that may have another scheduler answer.
    """

    head: Head
    endpoint: str
    ids: Mapping[str, Any]
    as_json: bool
    granted: Deferred[Any]
    body: Body[Any]
    is_public: bool
    app: RunsRoutes


class AdmittedRequest(Protocol):
    """What a route's envelope needs of a request."""

    call: Call

    @property
    def quiet_log(self) -> QuietLog:
        """Where errors are logged."""

    @property
    def counts(self) -> PortCounts:
        """Where they are counted."""

    def send(self, answer: Response | FileResponse | StreamResponse) -> Awaitable[None]:
        """Send a response, up to its end."""


@attrs.frozen
class _Envelope:
    allow: Allow
    body: OpenBody
    is_public: bool


class _ServerIdConverter(BaseConverter):
    """``ip:port`` in a path."""

    def to_python(self, value: str) -> ServerId:
        try:
            return ServerId.parse(value)
        except DecodeError as error:
            raise ValidationError from error


class _U64Converter(BaseConverter):
    """A job id in a path."""

    regex = r"[0-9]{1,20}"

    def to_python(self, value: str) -> int:
        if (number := int(value)) >= 1 << 64:
            raise ValidationError
        return number


class _ArchiveIdConverter(BaseConverter):
    """The name of a toolchain."""

    regex = r"[0-9a-f]{64}|[0-9a-f]{128}"


class _DigitsConverter(BaseConverter):
    """The end of a job id in a path."""

    regex = r"[0-9]{1,20}"


class Api:
    """The routes that one class declares."""

    def __init__(self) -> None:
        self.app = Klein()
        self.app.url_map.converters |= {
            "server_id": _ServerIdConverter,
            "u64": _U64Converter,
            "digits": _DigitsConverter,
            "archive_id": _ArchiveIdConverter,
        }
        self.app.url_map.merge_slashes = False
        self._paths = self.app.url_map.bind("")
        self._envelopes: dict[str, _Envelope] = {}
        self._beginnings: tuple[str, ...] = ()  # of the paths, up to their first id

    def route(
        self,
        method: str,
        path: str,
        *,
        allow: Allow,
        body: OpenBody = no_body,
        answer: Codec[Any] | None,
        is_public: bool = False,
    ) -> Callable[[Route], Route]:
        """Declare a method of that class.

        :param path: a werkzeug rule; ``<server_id:name>`` and ``<u64:name>`` stand for the protocol's ids,
            ``<digits:name>`` for the end of one, ``<archive_id:name>`` for a toolchain.
        :param allow: called with the routes, the head and the ids: returns what is granted or raises a refusal.
        :param body: called with the same, when the sender is allowed or while that is still being checked.
        :param is_public: whether ``allow`` allows every sender, so that a sender has not shown a good token by it. If
            that depends, what ``allow`` returns has an attribute ``is_stranger``.
        :param answer: encodes the method's result; a :class:`MessageFile` holds an encoded one. None if the method
            returns a :class:`~sccachedist.web.responses.Response` of a media type of its own, or one that stays open.
        """

        def declare(function: Route) -> Route:
            @wraps(function)
            async def endpoint(routes: object, request: AdmittedRequest, **ids: Any) -> None:
                await request.send(await _answer(routes, function, answer, request, ids))

            self._envelopes[function.__name__] = _Envelope(allow, body, is_public)
            self._beginnings += (path.partition("<")[0],)
            self.app.route(path, methods=[method])(endpoint)
            return function

        return declare

    @property
    def names(self) -> tuple[str, ...]:
        """The names of these routes."""
        return tuple(self._envelopes)

    def find(self, head: Head) -> tuple[str, Mapping[str, Any]] | None:
        """The name of the route for a request, and the ids in its path; None if there is none."""
        if not f"/{head.path.lstrip('/')}".startswith(self._beginnings):  # to look for it takes a while
            return None
        try:
            return self._paths.match(head.path, head.method)
        except HTTPException:
            return None

    def admit(self, routes: object, app: Klein, head: Head, endpoint: str, ids: Mapping[str, Any]) -> Call:
        """Admit or refuse a request to a route that :meth:`find` has found.

        :raises SccachedistError: the sender is not allowed, or the body cannot be taken.
        """
        envelope = self._envelopes[endpoint]
        granted: Deferred[Any] = Deferred.fromCoroutine(envelope.allow(routes, head, **ids))
        if isinstance(getattr(granted, "result", None), Failure):
            _raise_from(granted)
        try:
            body = envelope.body(routes, head, **ids)
            return Call(head.decided(), endpoint, ids, prefers_json(head), granted, body, envelope.is_public, app)
        except BaseException:
            granted.addErrback(lambda _: None)  # it is not waited for any more
            raise


class Routes(Protocol):
    """Some routes of a role: a class with these two attributes, whose methods :meth:`Api.route` declares."""

    api: Api
    app: Klein


class Mounted(Resource):
    """All routes of a role. A request's route is known when it is rendered: Klein would look for it once more.

    :param mounted: the most frequent ones first.
    """

    isLeaf = True  # noqa: N815

    def __init__(self, *mounted: Routes) -> None:
        super().__init__()
        self._mounted = [(routes, routes.api, routes.app) for routes in mounted]

    def admit(self, head: Head) -> Call:
        """Admit or refuse a request by its head.

        :raises UnknownRoute: there is no such route.
        :raises AmbiguousRequest: a header that decides something is there twice.
        :raises SccachedistError: the sender is not allowed, or the body cannot be taken.
        """
        if len(head.path) > LONGEST_PATH:
            raise UnknownRoute(head.path)
        for routes, api, app in self._mounted:
            if (found := api.find(head)) is None:
                continue
            if head.repeated and (twice := [name for name in DECISIVE if name in head.repeated]):
                # Perhaps it is a proxy's fault: no client's build may fail for it.
                raise AmbiguousRequest(f"the request has two headers {twice[0]}")
            return api.admit(routes, app, head, *found)
        raise UnknownRoute(head.path)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all routes."""
        return tuple(name for _, api, _ in self._mounted for name in api.names)

    def name_of(self, head: Head) -> str:
        """The name of the route that a refused request was for; ``NO_ROUTE`` if there is none."""
        if len(head.path) <= LONGEST_PATH:
            for _, api, _ in self._mounted:
                if (found := api.find(head)) is not None:
                    return found[0]
        return NO_ROUTE

    def render(self, request: Any) -> int:
        """Run the route; cancel it when the sender goes away."""
        call: Call = request.call
        running = cast(Deferred[Any], call.app.execute_endpoint(call.endpoint, request, **call.ids))
        over = request.notifyFinish()
        over.addErrback(lambda _: running.cancel())

        def finish(_: object) -> None:
            if not over.called:
                request.finish()

        def fail(failure: Failure) -> None:
            if not over.called:
                request.processingFailed(failure)
            elif not failure.check(CancelledError):
                log.failure("a route whose sender has gone", failure)

        running.addCallbacks(finish, fail)
        return NOT_DONE_YET


async def _answer(
    routes: object, function: Route, codec: Codec[Any] | None, request: AdmittedRequest, ids: dict[str, Any]
) -> Response | FileResponse | StreamResponse:
    call = request.call
    as_json = call.as_json
    try:
        granted = await call.granted
        result = await function(routes, granted, call.body.complete(), **ids)
        if isinstance(result, MessageFile):
            return file_response(result, as_json=as_json)
        return cast(Response, result) if codec is None else message_response(codec, result, as_json=as_json)
    except (CancelledError, DecidedElsewhere):
        raise
    except Exception as error:
        call.body.abort(error)
        return response_for(error, call.head, request.quiet_log, request.counts)


def response_for(error: Exception, head: Head, quiet_log: QuietLog, counts: PortCounts) -> Response:
    """The response to a request that failed. The error is counted, and logged unless there are many like it."""
    kind, incident = type(error).__name__, uuid4().hex[:12]
    fields: dict[str, Any] = {"method": excerpt(head.method), "path": excerpt(head.path), "peer": head.peer}
    fields["by"] = crowd_of(head.peer)
    if isinstance(error, LimitExceeded):
        counts.limits[error.limit] += 1
    if isinstance(error, SccachedistError):
        answer = error_response(error)
        level = LogLevel.debug if error.routine else LogLevel.info
        form, said = "{method} {path} from {peer} answered {status}: {error}", excerpt(str(error), _LONGEST_REASON)
        why = getattr(error, "limit", said)
        quiet_log.tell(log, level, f"{kind} {level.name}", form, why=why, status=answer.status, error=said, **fields)
        return answer
    counts.incidents += 1
    form = "incident {incident} at {method} {path}, {peer}"
    # Each incident is a reason of its own: its number has been told to the peer.
    failure = Failure(error)
    quiet_log.tell(log, LogLevel.critical, kind, form, why=incident, incident=incident, log_failure=failure, **fields)
    return incident_response(incident)


def _raise_from(failed: Deferred[Any]) -> None:
    """Raise the error of a failed Deferred, which is then handled."""
    failure: list[Failure] = []
    failed.addErrback(failure.append)
    failure[0].raiseException()
