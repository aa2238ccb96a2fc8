"""The scheduler's endpoint for viewers of the farm: a stream of Server-Sent Events. ``doc/api`` describes it.

:mod:`sccachedist.scheduler.watching` says what is sent.
"""

import json

import attrs

from sccachedist.config import NamesFor
from sccachedist.scheduler.farm_readers import FarmReader, FarmReaders
from sccachedist.scheduler.scrape_routes import Accepted
from sccachedist.scheduler.sight import Sight
from sccachedist.scheduler.watching import ViewerPlace, Watching
from sccachedist.web.bodies import Body
from sccachedist.web.event_stream import HEADERS
from sccachedist.web.request_head import Head
from sccachedist.web.responses import JSON, Response, StreamResponse
from sccachedist.web.router import Api

#: Seconds after which a viewer that found no place may try again.
RETRY_AFTER_SECS = 60
#: The most digits of a message's number.
_DIGITS = 15


@attrs.frozen
class _Asked:
    """What a viewer asks for.

    :param last: the number of the last message that it has; None if there is none, or something else.
    :param is_packed: whether its stream may be compressed.
    """

    last: int | None
    is_packed: bool


class _Headers(Body[_Asked]):
    """Stands in for the body of a request that needs none: the route gets what its headers say."""

    def __init__(self, head: Head) -> None:
        text = head.headers.get("last-event-id", "")
        last = int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None
        self._asked = _Asked(last, Accepted.of(head).gzip)

    def write(self, chunk: bytes) -> None:
        """Ignore a body that comes."""

    def complete(self) -> _Asked:
        """What they say."""
        return self._asked

    def abort(self, error: BaseException | None = None) -> None:
        """There is nothing to undo."""


class FeedRoutes:
    """What viewers of the farm ask for.

    :param names: who sees the names of files that others compile.
    """

    api = Api()
    app = api.app

    def __init__(self, watching: Watching, readers: FarmReaders, names: NamesFor) -> None:
        self._watching, self._readers, self.names = watching, readers, names

    async def _reader(self, head: Head) -> FarmReader:
        return await self._readers.check(head)

    def _headers(self, head: Head) -> _Headers:
        return _Headers(head)

    @api.route("GET", "/api/v1/farm/events", allow=_reader, body=_headers, answer=None)
    async def farm_events(self, reader: FarmReader, asked: _Asked) -> StreamResponse | Response:
        """Tell what changes in the farm, until one side has enough."""
        if not self._watching.has_place_for(reader.party):
            said = {"description": "too many watch this farm now (web.viewers): ask for its status now and then"}
            headers = (("Content-Type", JSON), ("Retry-After", str(RETRY_AFTER_SECS)))
            return Response(503, headers, json.dumps(said).encode())
        place = ViewerPlace(reader.party, Sight.of(reader.role, self.names, None), asked.last, asked.is_packed)
        headers = (*HEADERS, *((("Content-Encoding", "gzip"),) if asked.is_packed else ()))
        return StreamResponse(Response(200, headers), self._watching.viewer(place))
