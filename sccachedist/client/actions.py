"""What an administrator has a scheduler do. The scheduler decides which actions exist, and what they mean."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from sccachedist.client.scheduler_address import SchedulerPlace
from sccachedist.client.shapes import checked
from sccachedist.client.web_client import Question, Reply
from sccachedist.errors import DecodeError, PeerError
from sccachedist.printable import excerpt
from sccachedist.records.documents import ActionDocument

if TYPE_CHECKING:  # they take a moment to load, and few commands have one
    from sccachedist.wire.addresses import ServerId

#: Seconds in which the scheduler has to answer.
ANSWER_SECS = 20.0

_DONE = {
    "drain": "{} is drained: it gets no new jobs, those that it has go on",
    "undrain": "{} is not drained: it gets new jobs",
}


class OlderScheduler(PeerError):
    """It does not know actions."""


def act(place: SchedulerPlace, body: Mapping[str, object]) -> ActionDocument:
    """Ask a scheduler to do something; returns what it has done.

    :param body: as ``doc/api`` has it.
    :raises OlderScheduler: it does not know actions.
    :raises PeerError: it did not do it; one line says why.
    """
    base = place.url.rstrip("/")
    octets = json.dumps(body).encode()
    reply = _ask(Question(f"{base}/api/v1/admin/actions", place.token, body=octets, kind="application/json"), place)
    document = _read(reply.body)
    match reply.status, document:
        case 200, _:
            try:
                return checked(document, ActionDocument)
            except DecodeError as error:
                raise PeerError(f"the scheduler at {base} answered what it should not") from error
        case 404 | 409, {"description": str(text)}:
            raise PeerError(excerpt(text, 1000), status=reply.status)
        case 404 | 405, _:
            raise OlderScheduler(f"the scheduler at {base} is older, or no scheduler of sccachedist", status=404)
    raise _refusal(reply, place)


def set_drained(place: SchedulerPlace, order: str, server_id: "ServerId") -> str:
    """Ask a scheduler of an earlier release to drain or undrain a build server; return what it did, in a sentence.

    :param order: ``drain`` or ``undrain``.
    :raises PeerError: it did not do it, or has no such build server.
    """
    base = place.url.rstrip("/")
    reply = _ask(Question(f"{base}/api/v1/admin/{order}/{server_id}", place.token, body=b""), place)
    match reply.status, _read(reply.body):
        case 200, "Success" | {"Success": _}:
            return _DONE[order].format(server_id)
        case 200, {"Fail": {"msg": str(reason)}}:
            raise PeerError(excerpt(reason, 1000))
        case 200, _:
            raise PeerError(f"the scheduler at {base} answered what it should not")
    raise _refusal(reply, place)


def _ask(question: Question, place: SchedulerPlace) -> Reply:
    try:
        return attrs.evolve(question, accept="application/json").ask(ANSWER_SECS, place.trust)
    except PeerError as error:
        raise PeerError(f"the scheduler at {place.url.rstrip('/')} does not answer: {error}") from error


def _refusal(reply: Reply, place: SchedulerPlace) -> PeerError:
    match reply.status, _read(reply.body):
        case 401, _ if place.token is None:
            meaning = "it wants the token of an administrator"
        case 401, _:
            meaning = f"it does not take {place.shown} for that of an administrator"
        case _, {"description": str(text)}:
            meaning = excerpt(text, 1000)
        case 404, _:
            meaning = "it takes no orders: is it a scheduler of sccachedist?"
        case _:
            meaning = "nothing was done"
    said = f"the scheduler at {place.url.rstrip('/')} answered {reply.status}: {meaning}"
    return PeerError(said, status=reply.status)


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
