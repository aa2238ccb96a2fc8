"""Client tokens that another service decides about: ``client_auth.type = proxy_token``.

Everybody who reaches the scheduler can have the service asked. So the same token is asked about once at a time, a
refusal holds for a moment, and there are only so many calls at a time, which the senders share. Tokens that were good
before have calls of their own: strangers do not keep them out.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from sccachedist.auth.bearer import IPAddress, neighbourhood
from sccachedist.auth.clients import digest_of, party_of
from sccachedist.budgets import Budget, Party
from sccachedist.errors import AuthUnavailable, ClientRefused, LimitExceeded
from sccachedist.singleflight import SingleFlight

#: How many tokens are remembered at most, of each kind.
MOST_REMEMBERED = 4096
#: Seconds for which a refusal holds: a token that becomes good meanwhile fails a build for no longer.
REFUSED_SECS = 2.0


class TokenService(Protocol):
    """The service that knows the tokens."""

    async def accepts(self, token: str) -> bool:
        """Ask it.

        :raises AuthUnavailable: it does not answer.
        """


class ForwardedClientTokens:
    """Forwards tokens, and remembers the good ones for a while, by their digests.

    :param cache_secs: for how long; 0 for not at all.
    :param most_calls: how many calls strangers may cause at a time; as many again are kept for tokens that were good.
    :param now: seconds, of any clock that only grows.
    """

    def __init__(self, service: TokenService, cache_secs: float, most_calls: int, now: Callable[[], float]) -> None:
        self._service, self._cache_secs, self._now = service, cache_secs, now
        self._good, self._refused, self._known = _Memory(), _Memory(), _Memory()
        self._strangers, self._friends = Budget("token_checks", most_calls + 1), Budget("token_checks", most_calls + 1)
        self._asking: SingleFlight[str] = SingleFlight()

    async def check(self, token: str | None, sender: IPAddress) -> Party:
        """Ask the service, unless it was asked a short while ago."""
        if token is None:
            raise ClientRefused("no_bearer_auth", "no client token")
        digest, now = digest_of(token), self._now()
        if not self._good.holds(digest, now):
            if self._refused.holds(digest, now):
                raise _refused()
            await self._asking.do(digest, lambda: self._ask(token, digest, Party(neighbourhood(sender))))
        return party_of(digest, sender)

    async def _ask(self, token: str, digest: str, sender: Party) -> None:
        budget = self._friends if digest in self._known else self._strangers
        try:
            hold = budget.open(sender, 1)
        except LimitExceeded as error:
            raise AuthUnavailable(f"client tokens cannot be checked now: {error}") from error
        with hold:
            accepted = await self._service.accepts(token)
        if not accepted:
            self._known.forget(digest)
            self._refused.remember(digest, self._now() + REFUSED_SECS)
            raise _refused()
        self._known.remember(digest, 0)
        if self._cache_secs:
            self._good.remember(digest, self._now() + self._cache_secs)


class _Memory(OrderedDict[str, float]):
    """Digests of tokens, and until when something holds for them; the oldest is forgotten first."""

    def holds(self, digest: str, now: float) -> bool:
        return self.get(digest, now) > now

    def remember(self, digest: str, until: float) -> None:
        self[digest] = until
        self.move_to_end(digest)
        if len(self) > MOST_REMEMBERED:
            self.popitem(last=False)

    def forget(self, digest: str) -> None:
        self.pop(digest, None)


def _refused() -> ClientRefused:
    return ClientRefused("bearer_auth_failed", "client token refused")
