"""Client tokens that an identity provider signs: ``client_auth.type = jwt_validate``.

The algorithm is the configuration's choice, never the token's. A key that nobody has seen makes the provider's keys be
fetched anew, at most once in a while; a provider that cannot be reached lets nobody in and fails nobody's build.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs
import jwt
from jwt import PyJWK, PyJWKSet, PyJWTError
from twisted.logger import Logger

from sccachedist.errors import AuthUnavailable, ClientRefused, PeerError
from sccachedist.shared_work import SharedWork

log = Logger()

#: Seconds between two fetches for the sake of an unknown key, and between two tries while there is no key at all.
REFETCH_SECS, RETRY_SECS = 60.0, 5.0


class KeyProvider(Protocol):
    """Where the keys are published."""

    async def fetch(self) -> bytes:
        """A JSON Web Key Set.

        :raises PeerError: it cannot be had.
        """


class SigningKeys:
    """The provider's keys, by their ``kid``.

    :param now: seconds, of any clock that only grows.
    """

    def __init__(self, provider: KeyProvider, now: Callable[[], float]) -> None:
        self._provider, self._now = provider, now
        self._keys: dict[str, PyJWK] = {}
        self._trouble: str | None = None
        self._next_fetch = now()
        self._fetching: SharedWork[str] = SharedWork()

    async def key(self, kid: str) -> PyJWK:
        """The key of this name.

        :raises ClientRefused: the provider has none.
        :raises AuthUnavailable: nobody can tell, for the provider cannot be reached.
        """
        if kid not in self._keys and self._now() >= self._next_fetch:
            await self.fetch()
        if kid in self._keys:
            return self._keys[kid]
        if self._trouble is not None:
            raise AuthUnavailable(f"client tokens cannot be checked: {self._trouble}")
        raise ClientRefused("bearer_auth_failed", "the token's key is not the provider's")

    async def fetch(self) -> None:
        """Fetch the keys; those from before stay where that fails."""
        await self._fetching.do("keys", self._fetch)

    async def _fetch(self) -> None:
        try:
            keys = PyJWKSet.from_json((await self._provider.fetch()).decode()).keys
        except (PeerError, PyJWTError, ValueError) as error:
            self._trouble, self._next_fetch = str(error), self._now() + RETRY_SECS
            log.warn("no keys for client tokens: {error}", error=str(error))
        else:
            self._keys = {key.key_id: key for key in keys if key.key_id is not None}
            self._trouble, self._next_fetch = None, self._now() + REFETCH_SECS


@attrs.frozen
class SignedClientTokens:
    """Clients show tokens of an identity provider.

    :param algorithms: those that a token may be signed with.
    """

    keys: SigningKeys
    audience: str
    issuer: str
    algorithms: Sequence[str]

    async def check(self, token: str | None) -> None:
        """Check signature, ``aud``, ``iss``, ``exp`` and, where it is there, ``nbf``."""
        if token is None:
            raise ClientRefused("no_bearer_auth", "no client token")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            if kid is None:
                raise ClientRefused("bearer_auth_failed", "the token does not name its key")
            jwt.decode(
                token,
                await self.keys.key(kid),
                algorithms=list(self.algorithms),
                audience=self.audience,
                issuer=self.issuer,
                options={"require": ["exp", "aud", "iss"]},
            )
        except PyJWTError as error:
            raise ClientRefused("bearer_auth_failed", f"JWT could not be validated: {error}") from error
