"""Client tokens that another service checks: ``client_auth.type = proxy_token``.

Everyone who reaches the scheduler can make it ask the service. So there is at most one call at a time for a token, a
refusal is remembered for a moment, and the number of calls at a time is limited and shared among the senders. Tokens
that were good before have calls of their own, so that strangers cannot keep them out. How the service is called is not
known here.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from sccachedist.auth.bearer import IPAddress, neighbourhood
from sccachedist.auth.clients import BELIEVED_SECS, digest_of, nameless, party_of, unknown_token, unnamed
from sccachedist.budgets import Budget, Party
from sccachedist.errors import AuthUnavailable, ClientRefused, LimitExceeded
from sccachedist.singleflight import SingleFlight

#: The most tokens of each kind that are remembered.
MOST_REMEMBERED = 4096
#: Seconds for which a refusal is remembered: a token that becomes good meanwhile fails builds for no longer than that.
REFUSED_SECS = 2.0


class TokenService(Protocol):
    """The service that knows which tokens are good."""

    async def user_of(self, token: str) -> str | None:
        """Ask the service: the name that it has for the one whose token this is, if any; None if it refuses it.

        :raises AuthUnavailable: it does not answer.
        """


class ForwardedClientTokens:
    """Asks the service about tokens, and remembers the good ones for a while, by their digests.

    :param cache_secs: for how long they are remembered; 0 for not at all.
    :param most_calls: as in :meth:`call_at_most`.
    :param now: seconds, of any clock that only grows.
    :param knows: whether a client has a name.
    """

    def __init__(
        self,
        service: TokenService,
        cache_secs: float,
        most_calls: int,
        now: Callable[[], float],
        knows: Callable[[str], bool] = unnamed,
    ) -> None:
        self.service, self._cache_secs, self._now, self._knows = service, cache_secs, now, knows
        self._good, self._refused, self._known = _Memory(), _Memory(), _Memory()
        self._strangers, self._friends = Budget("token_checks", 0), Budget("token_checks", 0)
        self.call_at_most(most_calls)
        self._asking: SingleFlight[str] = SingleFlight()

    def call_at_most(self, most: int) -> None:
        """Let strangers cause so many calls at a time; as many again are kept for tokens that were good."""
        self._strangers.total = self._friends.total = most + 1  # a budget never gives its last piece

    def ask_again(self) -> None:
        """Ask about each token when it is shown next: the service may have another name for its owner."""
        self._good.clear()

    async def check(self, token: str | None, sender: IPAddress) -> Party:
        """Ask the service, unless it answered a short while ago."""
        if token is None:
            raise ClientRefused("no_bearer_auth", "no client token")
        digest, now = digest_of(token), self._now()
        if not self._good.holds(digest, now):
            if self._refused.holds(digest, now):
                raise unknown_token()
            await self._asking.do(digest, lambda: self._ask(token, digest, Party(neighbourhood(sender))))
        name = self._known.user(digest)
        return party_of(name if self._knows(name) else nameless(digest), sender)

    def believed_secs(self, token: str, now: float) -> float:
        """A while: the service does not say when a token ends."""
        return BELIEVED_SECS

    async def _ask(self, token: str, digest: str, sender: Party) -> None:
        budget = self._friends if digest in self._known else self._strangers
        try:
            hold = budget.open(sender, 1)
        except LimitExceeded as error:
            raise AuthUnavailable(f"client tokens cannot be checked now: {error}") from error
        with hold:
            user = await self.service.user_of(token)
        if user is None:
            self._known.forget(digest)
            self._refused.remember(digest, self._now() + REFUSED_SECS)
            raise unknown_token()
        self._known.remember(digest, 0, user)
        if self._cache_secs:
            self._good.remember(digest, self._now() + self._cache_secs)


class _Memory(OrderedDict[str, tuple[float, str]]):
    """Digests of tokens, each with the time until which something holds for it, and its user's name.

    The oldest is forgotten first.
    """

    def holds(self, digest: str, now: float) -> bool:
        return self.get(digest, (now, ""))[0] > now

    def user(self, digest: str) -> str:
        return self.get(digest, (0.0, ""))[1]

    def remember(self, digest: str, until: float, user: str = "") -> None:
        self[digest] = until, user
        self.move_to_end(digest)
        if len(self) > MOST_REMEMBERED:
            self.popitem(last=False)

    def forget(self, digest: str) -> None:
        self.pop(digest, None)
