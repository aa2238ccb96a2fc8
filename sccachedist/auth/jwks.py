"""Client tokens that an identity provider signs: ``client_auth.type = jwt_validate``.

The configuration chooses the algorithms; neither the token nor the key does. An unknown key makes the scheduler fetch
the provider's keys again, but not more often than every ``REFETCH_SECS``. While the provider cannot be reached, a
client whose key is unknown is not let in, but its build does not fail either. How keys are fetched is not known here.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

import attrs
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from twisted.logger import LogLevel

from sccachedist.auth.bearer import IPAddress
from sccachedist.auth.clients import BELIEVED_SECS, digest_of, nameless, party_of, unnamed
from sccachedist.budgets import Party
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import AuthUnavailable, ClientRefused, DecodeError, PeerError
from sccachedist.singleflight import SingleFlight

log = Logger()

#: Seconds between two fetches because of unknown keys, and from a failed fetch to the next try.
REFETCH_SECS, RETRY_SECS = 60.0, 5.0
#: Seconds by which the provider's clock and ours may differ, as in the published scheduler.
LEEWAY_SECS = 60.0

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey

#: How a key is read, by its ``kty``. Secret keys (``oct``) are left out: a published key must not sign tokens.
_READERS = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk}
#: The kind of key that checks an algorithm's signatures, by the algorithm's family.
_KINDS: dict[str, type[PublicKey]] = {"RS": RSAPublicKey, "PS": RSAPublicKey, "ES": EllipticCurvePublicKey}


class KeyProvider(Protocol):
    """The place where the keys are published."""

    async def fetch(self) -> bytes:
        """Fetch a JSON Web Key Set.

        :raises PeerError: it cannot be fetched.
        """


def read_keys(octets: bytes) -> dict[str, PublicKey]:
    """The keys of a JSON Web Key Set that can check tokens, by their ``kid``; everything else in it is ignored.

    :raises DecodeError: there are none.
    """
    try:
        document = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise DecodeError("the key set is not JSON") from error
    match document:
        case {"keys": [*items]}:
            keys = dict(named for item in items for named in _named_key(item))
            if keys:
                return keys
    raise DecodeError("no key in the key set can check tokens")


def _named_key(item: Any) -> Iterator[tuple[str, PublicKey]]:
    match item:
        case {"kid": str(kid), "kty": "RSA" | "EC" as kind, **others} if others.get("use", "sig") == "sig":
            with suppress(PyJWTError, TypeError, ValueError):
                key = _READERS[kind](item)
                if isinstance(key, RSAPublicKey | EllipticCurvePublicKey):
                    yield kid, key


class SigningKeys:
    """The provider's keys, by their ``kid``.

    :param now: seconds, of any clock that only grows.
    """

    def __init__(self, provider: KeyProvider, now: Callable[[], float]) -> None:
        self._provider, self._now = provider, now
        self._quiet_log = QuietLog(now)
        self._keys: dict[str, PublicKey] = {}
        self._reached = False
        self._next_fetch = now()
        self._fetching: SingleFlight[str] = SingleFlight()

    async def key(self, kid: str) -> PublicKey:
        """The key with this ``kid``.

        :raises ClientRefused: the provider has none.
        :raises AuthUnavailable: the key is unknown, and the provider cannot be reached.
        """
        if kid not in self._keys and self._now() >= self._next_fetch:
            await self.fetch()
        if kid in self._keys:
            return self._keys[kid]
        if not self._reached:
            raise AuthUnavailable("client tokens cannot be checked now")
        raise ClientRefused("bearer_auth_failed", "the token's key is not the provider's")

    async def fetch(self) -> None:
        """Fetch the keys; if that fails, the earlier ones stay."""
        await self._fetching.do("keys", self._fetch)

    async def _fetch(self) -> None:
        try:
            keys = read_keys(await self._provider.fetch())
        except (PeerError, DecodeError) as error:
            self._reached, self._next_fetch = False, self._now() + RETRY_SECS
            form = "no keys to check client tokens with: {error}"
            self._quiet_log.tell(log, LogLevel.warn, "keys", form, why=str(error), error=str(error))
        else:
            if not self._reached or keys.keys() != self._keys.keys():
                log.info("{count} keys to check client tokens with", count=len(keys))
            self._quiet_log.forget("keys")
            # Keys may change just after the start, so the first fetch does not delay the second.
            self._next_fetch = self._now() + (REFETCH_SECS if self._keys else 0)
            self._reached, self._keys = True, keys


@attrs.frozen
class SignedClientTokens:
    """Clients show tokens that an identity provider has signed.

    :param algorithms: those that a token may be signed with.
    :param name_claim: the claim with a client's name; it counts if ``knows`` says that a client has that name.
    """

    keys: SigningKeys
    audience: str
    issuer: str
    algorithms: Sequence[str]
    name_claim: str | None = None
    _knows: Callable[[str], bool] = unnamed

    async def check(self, token: str | None, sender: IPAddress) -> Party:
        """Check signature, ``aud``, ``iss``, ``exp`` and, if it is there, ``nbf``.

        All tokens of one subject are one party, so that a client gains nothing by getting itself many. A token without
        a subject counts without its signature, because the Base64 of one signature has several spellings.
        """
        if token is None:
            raise ClientRefused("no_bearer_auth", "no client token")
        algorithm, kid = self._signed_with(token)
        key = await self.keys.key(kid)
        if not isinstance(key, _KINDS[algorithm[:2]]):
            raise _refused("its key is not one for its algorithm")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY_SECS,
                options={"require": ["exp", "aud", "iss"]},
            )
        except PyJWTError as error:
            raise _refused(str(error)) from error
        name = claims.get(self.name_claim) if self.name_claim else None
        if isinstance(name, str) and self._knows(name):
            return party_of(name, sender)
        owner = claims.get("sub") or token.rpartition(".")[0]
        return party_of(nameless(digest_of(str(owner))), sender)

    def believed_secs(self, token: str, now: float) -> float:
        """A while, and no longer than the token is good."""
        claims = jwt.decode(token, options={"verify_signature": False})  # it was verified a moment ago
        return max(0.0, min(BELIEVED_SECS, float(claims["exp"]) - now))

    def _signed_with(self, token: str) -> tuple[str, str]:
        """The algorithm and the key that a token names, if they are allowed."""
        try:
            header = jwt.get_unverified_header(token)
        except PyJWTError as error:
            raise _refused("malformed") from error
        match header:
            case {"alg": str(algorithm), "kid": str(kid)} if algorithm in self.algorithms:
                return algorithm, kid
        raise _refused("it names no key, or an algorithm that is not accepted here")


def _refused(reason: str) -> ClientRefused:
    return ClientRefused("bearer_auth_failed", f"JWT could not be validated: {reason}")
