"""An administrator's requests to a running scheduler, from the command line.

Plain and synchronous: it does not need the daemons' reactor. The scheduler decides which orders exist.
"""

import json
from pathlib import Path

from sccachedist.cli.web_client import Question, Trust, pinned
from sccachedist.config import SchedulerSettings
from sccachedist.errors import ConfigError, PeerError
from sccachedist.wire.addresses import ServerId

#: Seconds in which the scheduler has to answer.
ANSWER_SECS = 20.0

_DONE = {
    "drain": "{} is drained: it gets no new jobs, those that it has go on",
    "undrain": "{} is not drained: it gets new jobs",
}
#: What a scheduler's status means as the answer to an order.
_MEANINGS = {
    401: "it does not take the admin.token of this configuration",
    404: "it takes no orders: is it a scheduler of sccachedist?",
}


def set_drained(
    settings: SchedulerSettings, url: str | None, order: str, server_id: ServerId, authorities: Path | None = None
) -> str:
    """Ask a scheduler to drain or undrain a build server; return a sentence that says what it did.

    :param settings: the scheduler's own, with the administrators' token.
    :param url: where the scheduler is, if not at its ``public_addr``.
    :param order: ``drain`` or ``undrain``.
    :param authorities: a file with the authorities for the scheduler's certificate, if it is not the one of ``[tls]``.
    :raises ConfigError: there is no token for administrators, or a needed file cannot be used.
    :raises PeerError: the scheduler did not do it, or has no such build server.
    """
    if settings.admin.token is None:
        raise ConfigError("admin.token: missing, expected the secret of those who may drain build servers")
    base = (url or own_url(settings)).rstrip("/")
    question = Question(
        f"{base}/api/v1/admin/{order}/{server_id}", settings.admin.token, body=b"", accept="application/json"
    )
    try:
        reply = question.ask(ANSWER_SECS, trust_in(settings, authorities))
    except PeerError as error:
        raise PeerError(f"the scheduler at {base} does not answer: {error}") from error
    if reply.status != 200:
        meaning = _MEANINGS.get(reply.status, "nothing was done")
        raise PeerError(f"the scheduler at {base} answered {reply.status}: {meaning}", status=reply.status)
    match _read(reply.body):
        case "Success" | {"Success": _}:
            return _DONE[order].format(server_id)
        case {"Fail": {"msg": str(reason)}}:
            raise PeerError(reason)
    raise PeerError(f"the scheduler at {base} answered what it should not")


def own_url(settings: SchedulerSettings) -> str:
    """The URL at which a scheduler is reached from its own host."""
    return f"{'http' if settings.tls is None else 'https'}://{_reachable(settings.public_addr)}"


def trust_in(settings: SchedulerSettings, authorities: Path | None) -> Trust:
    """What proves a scheduler's identity: the certificate that its configuration names, or the given authorities.

    :raises ConfigError: the certificate cannot be read.
    """
    if settings.tls is None or authorities is not None:
        return Trust(authorities=authorities)
    try:
        return Trust(pin=pinned(settings.tls.certificate))
    except ConfigError as error:
        raise ConfigError(f"tls.certificate: {error}") from error


def _read(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _reachable(address: ServerId) -> ServerId:
    """The address itself; for an address that means all interfaces, the loopback address with its port."""
    if not address.host.is_unspecified:
        return address
    return ServerId.parse(f"{'127.0.0.1' if address.host.version == 4 else '[::1]'}:{address.port}")
