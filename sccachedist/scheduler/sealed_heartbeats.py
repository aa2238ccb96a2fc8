"""The last heartbeat of a build server, as bytes that are kept elsewhere for the next scheduler of the farm.

Pure. A heartbeat holds the key of its build server's job tokens, and who can write to a board must not become a build
server by it. So the bytes are encrypted and authenticated, with a key that comes from the secret of build servers
(``server_auth``). Where they are kept is not known here.
"""

import os
from collections.abc import Iterable

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sccachedist.errors import DecodeError
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import U64, decode, encode
from sccachedist.wire.extension import EXTENDED_HEARTBEAT, ServerReport
from sccachedist.wire.messages import Heartbeat

#: What the bytes begin with: another form has another one.
_MARK = b"sccachedist heartbeat 1\n"
_SALT, _KEY, _TIME = 32, 32, 8
#: Each salt makes a key of its own, so that no key has two nonces.
_NONCE = bytes(12)


@attrs.frozen
class LastHeartbeat:
    """What a build server has said last.

    :param heard: when, in seconds since 1970 by the board's clock.
    """

    heartbeat: Heartbeat
    report: ServerReport | None
    heard: float


def without_jobs(report: ServerReport) -> ServerReport:
    """What is worth keeping of a report: its jobs and toolchains, a build server tells again anyway.

    What is left says of toolchains that others have been told before: so the next scheduler knows that it knows none.
    """
    host = None if report.host is None else attrs.evolve(report.host, uploads=(), sizes=())
    able = None if report.abilities is None else attrs.evolve(report.abilities, built_for=())
    return attrs.evolve(report, jobs=(), toolchains=(), gone=(), since=1, until=1, host=host, abilities=able)


def sealed(server_id: ServerId, said: LastHeartbeat, secret: bytes) -> bytes:
    """The bytes.

    :param secret: of build servers, the current one.
    """
    salt = os.urandom(_SALT)
    text = encode(U64, int(max(said.heard, 0.0) * 1e6)) + encode(EXTENDED_HEARTBEAT, (said.heartbeat, said.report))
    return _MARK + salt + _cipher(secret, salt).encrypt(_NONCE, text, _beside(server_id))


def unsealed(server_id: ServerId, octets: bytes, secrets: Iterable[bytes]) -> LastHeartbeat:
    """What the bytes say of the build server at an address.

    :param secrets: all that are good now.
    :raises DecodeError: they are of another release, were made with another secret or for another address, or are none.
    """
    if not octets.startswith(_MARK):
        raise DecodeError("it is no heartbeat, or of a later release")
    salt, rest = octets[len(_MARK) : len(_MARK) + _SALT], octets[len(_MARK) + _SALT :]
    for secret in secrets:
        try:
            text = _cipher(secret, salt).decrypt(_NONCE, rest, _beside(server_id))
        except InvalidTag:
            continue
        heard = decode(U64, text) / 1e6
        heartbeat, report = decode(EXTENDED_HEARTBEAT, text[_TIME:])
        return LastHeartbeat(heartbeat, report, heard)
    raise DecodeError("it was not kept with a secret of server_auth")


def _cipher(secret: bytes, salt: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(HKDF(SHA256(), _KEY, salt, _MARK).derive(secret))


def _beside(server_id: ServerId) -> bytes:
    return str(server_id).encode()
