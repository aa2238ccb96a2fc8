"""Tokens of jobs, servers and toolchains: JWTs signed with HS256 ("Tokens" in ``doc/protocol``).

Their claims are exactly ``exp``, which is always 0 and means nothing, and the job or the build server that the token is
for. A job token between our own scheduler and our own build server also names the toolchain, the time when the token
was issued (``iat``) and the client. A toolchain token, by which one of our build servers gets an archive from another
one, names that archive (``fetch``) and the time. Who holds which key, and what a token opens, is not known here. No
error's text quotes a token.
"""

import json
from functools import lru_cache
from typing import Any

import attrs
from jwt import InvalidSignatureError, InvalidTokenError, PyJWS
from jwt.algorithms import HMACAlgorithm

from sccachedist.errors import DecodeError, PeerRefused, StaleToken
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId, archive_id
from sccachedist.wire.messages import JobId
from sccachedist.wire.secret_key import KEY_SIZE

_Claims = dict[str, Any]


@attrs.frozen
class Grant:
    """What a job token of our own scheduler says besides the job.

    :param toolchain: the one that the job needs.
    :param issued: when the token was issued, in seconds of the scheduler's clock since 1970.
    :param client: the client that it was issued for, in a word that means something to the scheduler alone.
    """

    toolchain: ArchiveId
    issued: int | None = None
    client: str | None = None


class _AnyKey(HMACAlgorithm):
    """HS256 with any bytes as the key, as in the Rust programs.

    A job key comes from a peer: PyJWT would raise an error at a key that looks like a certificate, and warn of a short
    one. HMAC itself fills a short key up with zeros, so doing that here changes no signature.
    """

    def prepare_key(self, key: str | bytes) -> bytes:
        octets = key.encode() if isinstance(key, str) else key
        return octets.ljust(KEY_SIZE, b"\0")


_ALGORITHM = "HS256"
_JWS = PyJWS(algorithms=())
_JWS.register_algorithm(_ALGORITHM, _AnyKey(HMACAlgorithm.SHA256))


def job_token(
    key: bytes,
    job_id: JobId,
    toolchain: ArchiveId | None = None,
    *,
    issued: int | None = None,
    client: str | None = None,
) -> str:
    """The token that opens one job on the build server that ``key`` belongs to.

    :param toolchain: the one that the job needs, if the build server is one of sccachedist: then the scheduler need not
        announce the job to it.
    :param issued: and ``client``: see :class:`Grant`; only with a toolchain.
    """
    return _sign(_job_claims(job_id, None if toolchain is None else Grant(toolchain, issued, client)), key)


@lru_cache(maxsize=1 << 10)  # a client shows its token two or three times; a refused token is not cached
def check_job_token(token: str, key: bytes, job_id: JobId) -> Grant | None:
    """Check that a token opens this job; return what else it says, if anything.

    :raises PeerRefused: it is malformed or for something else, so it was never issued for this job.
    :raises StaleToken: all but its signature is right: it may have been issued under another key.
    """
    claims, signed = _read(token, key, "invalid_jwt")
    grant = _claimed_grant(claims)
    if not _same(claims, _job_claims(job_id, grant)):
        raise PeerRefused("invalid_jwt", "mismatched claims")
    if not signed:
        raise StaleToken("the job token is not signed with the key in force")
    return grant


def toolchain_token(key: bytes, toolchain: ArchiveId, issued: int) -> str:
    """The token that opens one archive on the build server that ``key``, its job key, belongs to.

    :param issued: when, in seconds of the scheduler's clock since 1970.
    """
    return _sign(_toolchain_claims(toolchain, issued), key)


def check_toolchain_token(token: str, key: bytes, toolchain: ArchiveId) -> int:
    """Check that a token opens this archive; returns when it was issued.

    :raises PeerRefused: it is malformed, for something else, or not signed with this key.
    """
    claims, signed = _read(token, key, "invalid_jwt")
    issued = claims.get("iat") if isinstance(claims, dict) else None
    if signed and type(issued) is int and _same(claims, _toolchain_claims(toolchain, issued)):
        return issued
    raise PeerRefused("invalid_jwt", "no token for this toolchain")


def server_token(key: bytes, server_id: ServerId) -> str:
    """The token by which a scheduler knows one build server, as the published ``auth`` command makes it."""
    return _sign(_server_claims(str(server_id)), key)


@lru_cache(maxsize=1 << 14)  # thousands of build servers show theirs every few seconds; a refused one is not cached
def read_server_token(token: str, key: bytes) -> ServerId:
    """The build server that a token names. Whether that server sent the token is not checked here.

    :raises PeerRefused: the token is malformed or not signed with this key.
    """
    claims, signed = _read(token, key, "invalid_bearer_token")
    if not signed:
        raise PeerRefused("invalid_bearer_token", "forged server token")
    return _claimed_server(claims)


def claimed_server(token: str) -> ServerId:
    """The build server that a token names, with any signature: for the build server itself, which lacks the key.

    :raises PeerRefused: the token is malformed.
    """
    claims, _ = _read(token, b"", "invalid_bearer_token")
    return _claimed_server(claims)


def _claimed_server(claims: Any) -> ServerId:
    match claims:
        case {"server_id": str(text)} if _same(claims, _server_claims(text)):
            return _address(text)
    raise PeerRefused("invalid_bearer_token", "mismatched claims")


def _address(text: str) -> ServerId:
    try:
        return ServerId.parse(text)
    except DecodeError as error:
        raise PeerRefused("invalid_bearer_token", "server token without an address") from error


def _claimed_grant(claims: Any) -> Grant | None:
    match claims:
        case {"toolchain": str(text)}:
            try:
                return Grant(archive_id(text), claims.get("iat"), claims.get("client"))
            except DecodeError as error:
                raise PeerRefused("invalid_jwt", "mismatched claims") from error
    return None


def _job_claims(job_id: JobId, grant: Grant | None) -> _Claims:
    claims: _Claims = {"exp": 0, "job_id": job_id}
    if grant is not None:
        claims["toolchain"] = grant.toolchain
        if type(grant.issued) is int and 0 <= grant.issued < 1 << 63:
            claims["iat"] = grant.issued
        if isinstance(grant.client, str):
            claims["client"] = grant.client
    return claims


def _toolchain_claims(toolchain: ArchiveId, issued: int) -> _Claims:
    return {"exp": 0, "fetch": toolchain, "iat": issued}


def _server_claims(server_id: str) -> _Claims:
    return {"exp": 0, "server_id": server_id}


def _same(claims: Any, expected: _Claims) -> bool:
    """Compare as JSON does: to Python, ``false`` and ``0.0`` equal ``0``."""
    return claims == expected and all(type(claims[name]) is type(value) for name, value in expected.items())


def _sign(claims: _Claims, key: bytes) -> str:
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return _JWS.encode(payload, key, _ALGORITHM, sort_headers=False)


def _read(token: str, key: bytes, challenge: str) -> tuple[Any, bool]:
    """The claims of a well-formed token, unchecked, and whether the token is signed with this key."""
    try:
        try:
            payload, signed = _JWS.decode(token, key, [_ALGORITHM]), True
        except InvalidSignatureError:
            payload, signed = _JWS.decode(token, options={"verify_signature": False}), False
        return json.loads(payload), signed
    except (InvalidTokenError, ValueError, RecursionError) as error:
        raise PeerRefused(challenge, "malformed token") from error
