"""Client tokens that another service decides about: ``client_auth.type = proxy_token``."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from sccachedist.errors import ClientRefused

#: How many tokens are remembered at most.
MOST_REMEMBERED = 4096


class TokenService(Protocol):
    """The service that knows the tokens."""

    async def accepts(self, token: str) -> bool:
        """Ask it.

        :raises AuthUnavailable: it does not answer.
        """


class ForwardedClientTokens:
    """Forwards tokens, and remembers the good ones for a while, by their digests.

    :param cache_secs: for how long; 0 for not at all.
    :param now: seconds, of any clock that only grows.
    """

    def __init__(self, service: TokenService, cache_secs: float, now: Callable[[], float]) -> None:
        self._service, self._cache_secs, self._now = service, cache_secs, now
        self._good_until: OrderedDict[bytes, float] = OrderedDict()

    async def check(self, token: str | None) -> None:
        """Ask the service, unless it was asked a short while ago."""
        if token is None:
            raise ClientRefused("no_bearer_auth", "no client token")
        digest = hashlib.sha256(token.encode()).digest()
        if self._good_until.get(digest, self._now()) > self._now():
            return
        if not await self._service.accepts(token):
            raise ClientRefused("bearer_auth_failed", "client token refused")
        self._remember(digest)

    def _remember(self, digest: bytes) -> None:
        if self._cache_secs:
            self._good_until.pop(digest, None)
            self._good_until[digest] = self._now() + self._cache_secs
            if len(self._good_until) > MOST_REMEMBERED:
                self._good_until.popitem(last=False)
