"""A document from a scheduler, or one line that says why there is none."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

from sccachedist.client.scheduler_address import TOKEN_VARIABLE, SchedulerPlace
from sccachedist.client.shapes import checked
from sccachedist.client.web_client import Question, Reply
from sccachedist.errors import DecodeError, PeerError
from sccachedist.printable import excerpt

D = TypeVar("D")

#: Seconds in which the scheduler has to answer. A trace of a day is long.
ANSWER_SECS = 60.0
_LONGEST = 64 << 20

_NO_API = "has no farm API: it is the published scheduler, or an older one of sccachedist"


def ask(place: SchedulerPlace, path: str, query: Mapping[str, str], shape: type[D], *, below: str = "farm") -> D:
    """Ask for a document.

    :param path: below ``/api/v1/farm/``, or what ``below`` says in the place of ``farm``.
    :raises PeerError: there is none; one line says why.
    """
    return measured(place, path, query, shape, below=below)[0]


def measured(
    place: SchedulerPlace, path: str, query: Mapping[str, str], shape: type[D], *, below: str = "farm"
) -> tuple[D, int]:
    """Ask for a document, as :func:`ask` does; returns its bytes, too."""
    base = place.url.rstrip("/")
    # What is no Unicode cannot be asked for: bytes of a command line, half of a pair from a scheduler.
    url = f"{base}/api/v1/{below}/{path}{'?' if query else ''}{urlencode(query, errors='replace')}"
    question = Question(url, place.token, accept="application/json", longest=_LONGEST)
    try:
        reply = question.ask(ANSWER_SECS, place.trust)
    except PeerError as error:
        raise PeerError(f"the scheduler at {base} does not answer: {error}") from error
    if reply.status != 200:
        raise PeerError(f"the scheduler at {base} {_why(reply, place)}", status=reply.status)
    try:
        return checked(json.loads(reply.body), shape), len(reply.body)
    except (ValueError, RecursionError) as error:
        raise PeerError(f"the scheduler at {base} answered what is no JSON") from error
    except DecodeError as error:
        raise PeerError(
            f"the scheduler at {base} answered what this version does not understand ({error}): update the older one"
        ) from error


def _why(reply: Reply, place: SchedulerPlace) -> str:
    """What a status means here."""
    described = _description(reply.body)
    match reply.status:
        case 401 if place.token is None:
            return f"wants a token: name the file that has it with --token-file or {TOKEN_VARIABLE}"
        case 401:
            return f"does not take {place.shown}"
        case 403:
            return f"does not show that to the holder of {place.shown or 'no token'}"
        case 404 if described:
            return f"says: {described}"
        case 404 | 405 | 406:
            return _NO_API
    return f"answered {reply.status}" + (f": {described}" if described else "")


def _description(body: bytes) -> str:
    try:
        told: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    match told:
        case {"description": str(text)}:
            return excerpt(text)
    return ""
