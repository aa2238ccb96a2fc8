"""Client tokens that an identity provider signs: ``client_auth.type = jwt_validate``.

The algorithms are the configuration's choice, never the token's nor the key's. A key that nobody has seen makes the
provider's keys be fetched anew, at most once in a while; a provider that cannot be reached lets nobody in and fails
nobody's build.
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

from sccachedist.auth.bearer import IPAddress
from sccachedist.auth.clients import digest_of, party_of
from sccachedist.budgets import Party
from sccachedist.daemon.logs import Logger
from sccachedist.errors import AuthUnavailable, ClientRefused, DecodeError, PeerError
from sccachedist.singleflight import SingleFlight

log = Logger()

#: Seconds between two fetches for the sake of unknown keys, and until the next try after one that failed.
REFETCH_SECS, RETRY_SECS = 60.0, 5.0
#: Seconds by which the provider's clock and ours may differ, as in the published scheduler.
LEEWAY_SECS = 60.0

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey

#: How a key is read, by its ``kty``; secret keys (``oct``) are not among them, for nobody signs with what is published.
_READERS = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk}
#: The kind of key that an algorithm checks with, by the algorithm's family.
_KINDS: dict[str, type[PublicKey]] = {"RS": RSAPublicKey, "PS": RSAPublicKey, "ES": EllipticCurvePublicKey}


class KeyProvider(Protocol):
    """Where the keys are published."""

    async def fetch(self) -> bytes:
        """A JSON Web Key Set.

        :raises PeerError: it cannot be had.
        """


def read_keys(octets: bytes) -> dict[str, PublicKey]:
    """The keys of a JSON Web Key Set that can check tokens, by their ``kid``; whatever else is in it is passed over.

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
        self._keys: dict[str, PublicKey] = {}
        self._reached = False
        self._next_fetch = now()
        self._fetching: SingleFlight[str] = SingleFlight()

    async def key(self, kid: str) -> PublicKey:
        """The key of this name.

        :raises ClientRefused: the provider has none.
        :raises AuthUnavailable: nobody can tell, for the provider cannot be reached.
        """
        if kid not in self._keys and self._now() >= self._next_fetch:
            await self.fetch()
        if kid in self._keys:
            return self._keys[kid]
        if not self._reached:
            raise AuthUnavailable("client tokens cannot be checked now")
        raise ClientRefused("bearer_auth_failed", "the token's key is not the provider's")

    async def fetch(self) -> None:
        """Fetch the keys; those from before stay where that fails."""
        await self._fetching.do("keys", self._fetch)

    async def _fetch(self) -> None:
        try:
            keys = read_keys(await self._provider.fetch())
        except (PeerError, DecodeError) as error:
            self._reached, self._next_fetch = False, self._now() + RETRY_SECS
            log.warn("no keys to check client tokens with: {error}", error=str(error))
        else:
            # Keys may change just after the start: the first fetch does not put off the second.
            self._next_fetch = self._now() + (REFETCH_SECS if self._keys else 0)
            self._reached, self._keys = True, keys
            log.info("{count} keys to check client tokens with", count=len(keys))


@attrs.frozen
class SignedClientTokens:
    """Clients show tokens of an identity provider.

    :param algorithms: those that a token may be signed with.
    """

    keys: SigningKeys
    audience: str
    issuer: str
    algorithms: Sequence[str]

    async def check(self, token: str | None, sender: IPAddress) -> Party:
        """Check signature, ``aud``, ``iss``, ``exp`` and, where it is there, ``nbf``.

        A client that gets itself many tokens is one all the same, where they name a subject; and so are the spellings
        that the Base64 of a signature has.
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
        owner = claims.get("sub") or token.rpartition(".")[0]
        return party_of(digest_of(str(owner)), sender)

    def _signed_with(self, token: str) -> tuple[str, str]:
        """The algorithm and the key that a token names, as far as they may be."""
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
