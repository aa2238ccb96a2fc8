"""The keys of an identity provider, as a JSON Web Key Set: which of them count, and when they are fetched.

An unknown key makes the scheduler fetch the provider's keys again, but not more often than every ``REFETCH_SECS``.
While the provider cannot be reached, a client whose key is unknown is not let in, but its build does not fail either.
How keys are fetched is not known here; :mod:`sccachedist.auth.signed_tokens` decides which token is good.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from twisted.logger import LogLevel

from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import AuthUnavailable, ClientRefused, DecodeError, PeerError
from sccachedist.singleflight import SingleFlight

log = Logger()

#: Seconds between two fetches because of unknown keys, and from a failed fetch to the next try.
REFETCH_SECS, RETRY_SECS = 60.0, 5.0

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey

#: How a key is read, by its ``kty``. Secret keys (``oct``) are left out: a published key must not sign tokens.
_READERS = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk}


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
