"""Clients with names, beside those that the published ``client_auth`` lets in.

Which tokens have names, and for how long one that has ended is still known, is decided in
:mod:`sccachedist.auth.roster`; what its client is told, in :mod:`sccachedist.scheduler.routes`.
"""

import math
from collections.abc import Callable

import attrs

from sccachedist.auth.bearer import IPAddress
from sccachedist.auth.clients import BELIEVED_SECS, ClientAuth, digest_of, party_of
from sccachedist.auth.roster import Known, Roster, TokenEnded
from sccachedist.budgets import Party
from sccachedist.errors import ClientTokenEnded


@attrs.frozen
class NamedClientTokens:
    """Lets in who shows the token of a client with a name; others are checked as without names.

    :param others: checks these.
    :param now: seconds since 1970.
    """

    roster: Roster
    others: ClientAuth
    _now: Callable[[], float]

    async def check(self, token: str | None, sender: IPAddress) -> Party:
        """Look a token up by its digest.

        :raises ClientTokenEnded: it was good once.
        """
        if token is not None and self.roster:
            match self.roster.find(digest_of(token), self._now()):
                case Known(name=name):
                    return party_of(name, sender)
                case TokenEnded(name=name, until=until):
                    raise ClientTokenEnded(name, until)
        return await self.others.check(token, sender)

    def believed_secs(self, token: str, now: float) -> float:
        """A while, and no longer than the token is good: it can be revoked."""
        digest = digest_of(token)
        if self.roster.find(digest, now) is None:
            return self.others.believed_secs(token, now)
        until = self.roster.until(digest)
        return max(0.0, min(BELIEVED_SECS, (math.inf if until is None else until) - now))
