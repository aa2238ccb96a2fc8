"""The one table from an error to a response, and the forms that responses take.

A client fails its user's compile at any 4xx and compiles locally at a 5xx ("What decides the fate of a user's build" in
``doc/protocol``). So a 4xx goes only to a sender that is certainly wrong: a wrong client token, or a peer that behaves
like no published program.

Last of four stations of a compile's error: :mod:`sccachedist.sandbox.result.outcome` raises it in a worker,
:mod:`sccachedist.builders.worker_protocol` carries it to the daemon, :mod:`sccachedist.server.job_runner` ends the job
with it, and :func:`error_response` has its status. What causes an error is not known here.
"""

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeVar

import attrs
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from sccachedist.errors import (
    AuthUnavailable,
    ClientRefused,
    DecodeError,
    Forbidden,
    NoLeader,
    PeerRefused,
    Refused,
    SccachedistError,
    ServerRevoked,
    SessionOver,
)
from sccachedist.web.bodies import OCTETS
from sccachedist.web.request_head import Head
from sccachedist.wire.bincode import Codec, encode

T = TypeVar("T")

JSON = "application/json"
#: The header of an answer that says no more than that this scheduler does not decide: another one is to be asked.
FOLLOWS = ("X-Sccachedist-Follows", "1")
#: The most characters of an Accept that is read: browsers send half as many, and reading takes a while.
_LONGEST_ACCEPT = 300


class UnknownRoute(SccachedistError):
    """There is no such path, or it does not know the method, or an id in it does not parse.

    :param path: what was asked for. Below the published paths a 404 is empty, as the published daemons have it.
    """

    def __init__(self, path: str) -> None:
        super().__init__("no such path, or not with this method")
        self.told = not path.startswith(_PUBLISHED)


@attrs.frozen
class Response:
    """A status, headers and a body.

    :param taken: called when the sender has taken it, or will not any more.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    taken: Callable[[], None] | None = None


@attrs.frozen
class MessageFile:
    """A file that holds a message in the form that was asked for.

    :param taken: called with None when it has been sent, or with the error because of which it will not be any more.
    """

    path: Path
    taken: Callable[[BaseException | None], None]


@attrs.frozen
class FileResponse:
    """A response whose body is in a file.

    :param head: its body, if it has one, is sent before what is in the file.
    :param is_kept: whether the file stays; else it is removed when it is sent.
    """

    head: Response
    file: MessageFile
    is_kept: bool = False


class Outlet(Protocol):
    """Where the body of a response that stays open goes."""

    def write(self, data: bytes) -> object:
        """Send a piece of it."""

    def end(self) -> None:
        """There is no more. May be called again."""


class Source(Protocol):
    """What a response that stays open has for its peer. It is told of the peer's pace as a push producer."""

    def attach(self, outlet: Outlet) -> None:
        """The head of the response is written."""

    def pauseProducing(self) -> None:  # Twisted's name
        """The peer takes no more for now."""

    def resumeProducing(self) -> None:
        """The peer takes more."""

    def stopProducing(self) -> None:
        """The peer takes nothing more; :meth:`detach` follows."""

    def detach(self) -> None:
        """The response is over, whichever side has ended it, also if it never began."""


@attrs.frozen
class StreamResponse:
    """A response that stays open: its source says what is sent and when, until one side ends it.

    :param head: the status and the headers; its body is empty.
    """

    head: Response
    source: Source


def prefers_json(head: Head) -> bool:
    """Whether the sender prefers JSON to bincode. No Accept is refused."""
    accept = head.headers.get("accept", "")
    return len(accept) <= _LONGEST_ACCEPT and _prefers_json(accept)


@lru_cache(maxsize=64)  # nearly all requests have the same
def _prefers_json(accept: str) -> bool:
    return parse_accept_header(accept, MIMEAccept).best_match([OCTETS, JSON]) == JSON


def json_response(body: bytes, status: int = 200) -> Response:
    """A document that is in JSON already."""
    return Response(status, (("Content-Type", _JSON_UTF8), ("Cache-Control", "no-store")), body)


def message_response(codec: Codec[T], value: T, *, as_json: bool) -> Response:
    """A message in the form that was asked for."""
    if as_json:
        return _json_answer(200, codec.to_json(value))
    return Response(200, (("Content-Type", OCTETS),), encode(codec, value))


def file_response(file: MessageFile, *, as_json: bool) -> FileResponse:
    """A message in a file that has the form that was asked for."""
    return FileResponse(Response(200, (("Content-Type", _JSON_UTF8 if as_json else OCTETS),)), file)


def error_response(error: SccachedistError) -> Response:
    """The response to an error: its status, and what the sender is told."""
    match error:
        case UnknownRoute(told=True):
            # No JSON: for our commands, a description is what one of our routes has to say.
            return Response(404, (("Content-Type", _TEXT_UTF8),), f"{error}\n".encode())
        case UnknownRoute():
            return Response(404)
        case ClientRefused():
            return Response(401, (_challenge(error), ("Content-Type", _TEXT_UTF8)), _text(error))
        case PeerRefused(challenge="invalid_jwt") | ServerRevoked():
            return _json_answer(401, _description(str(error)), _challenge(error))
        case PeerRefused():
            return Response(401, (_challenge(error),))
        case Forbidden():
            return _json_answer(403, _description(str(error)))
        case AuthUnavailable():
            return _json_answer(503, _description(str(error)))
        case NoLeader():
            return _json_answer(503, _description(str(error)), FOLLOWS)
        case SessionOver():
            return _json_answer(410, _description(str(error)))
        case DecodeError():
            return _json_answer(400, _description(str(error)))
        case _:
            return _json_answer(500, _description(str(error)))


def incident_response(incident: str) -> Response:
    """The response to an unforeseen error: its incident number. The log has the rest beside that number."""
    return _json_answer(500, _description(f"internal error, incident {incident}"))


_JSON_UTF8 = f"{JSON}; charset=utf-8"
_TEXT_UTF8 = "text/plain; charset=utf-8"
#: Below these paths the published daemons have all their routes.
_PUBLISHED = ("/api/v1/scheduler/", "/api/v1/distserver/")


def _challenge(refused: Refused) -> tuple[str, str]:
    return ("WWW-Authenticate", f'Bearer error="{refused.challenge}"')


def _text(refused: ClientRefused) -> bytes:
    """Nothing if there was no token, as published; else a short text that the user sees."""
    return b"" if refused.challenge == "no_bearer_auth" else str(refused).encode()


def _description(text: str) -> dict[str, str | None]:
    return {"description": text, "cause": None}


def _json_answer(status: int, value: object, *headers: tuple[str, str]) -> Response:
    return Response(status, (*headers, ("Content-Type", _JSON_UTF8)), json.dumps(value, separators=(",", ":")).encode())
