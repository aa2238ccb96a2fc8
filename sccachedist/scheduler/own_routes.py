"""What each scheduler answers itself, whether it leads or follows: how it stands, and how a request has come to it.

The latter is for the doctor: it finds what ends requests before the queue does, or hides who sends them.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from sccachedist.auth.bearer import plain_address
from sccachedist.auth.servers import Rewritten, ServerAuth
from sccachedist.budgets import Party
from sccachedist.cluster.agreement import PROOFS
from sccachedist.cluster.roll import SchedulerAccount
from sccachedist.config import QueueSettings
from sccachedist.errors import PeerRefused
from sccachedist.scheduler import farm_queries as queries
from sccachedist.scheduler.farm_readers import FarmReaders
from sccachedist.web.proxied_heads import ProxiedHeads
from sccachedist.web.queries import Query
from sccachedist.web.request_head import Head
from sccachedist.web.responses import Response, json_response
from sccachedist.web.router import Api

_ROOT = "/api/v1/scheduler"
#: Requests that are held open at a time, those of one sender, and the most seconds for which one is.
HELD, HELD_OF_PARTY, MOST_SECS = 4, 1, 3600.0
#: Headers by which proxies say that they are there.
_OF_PROXIES = ("forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-real-ip")


@attrs.frozen
class Arrival:
    """How a request has come.

    :param party: who holds it open.
    :param sender: the address that it counts as coming from; ``peer``: the one at the other end of the connection.
    :param is_proxied: whether the request has headers that proxies add.
    :param is_taken: whether a build server's token is taken from there; None if it has another kind of token.
    """

    party: Party
    sender: str
    peer: str
    is_proxied: bool
    is_taken: bool | None


class OwnRoutes:
    """What is asked of one scheduler, and not of the farm.

    :param account: says how it stands, and where its configuration differs from that of one who shows proofs of it.
    :param heads: says who sends a request.
    :param queue: the settings of the queue that are in force.
    :param rewritten: from where build servers may come with other addresses than their own.
    """

    api = Api()
    app = api.app

    def __init__(
        self,
        account: Callable[[str | None], SchedulerAccount],
        readers: FarmReaders,
        servers: ServerAuth,
        heads: ProxiedHeads,
        queue: Callable[[], QueueSettings],
        clock: IReactorTime,
        rewritten: Rewritten,
    ) -> None:
        self._rewritten = rewritten
        self._account, self._readers, self._servers = account, readers, servers
        self._heads, self._queue, self._clock = heads, queue, clock
        self._held = Counter[Party]()

    async def _allow_anyone(self, head: Head) -> str | None:
        return head.headers.get(PROOFS)

    async def _allow_known(self, head: Head) -> Arrival:
        """One with the token of a client, a build server, a viewer or an administrator.

        A build server is let in from any address: whether its own arrives is what is asked.
        """
        if head.token is None:
            raise PeerRefused("no_bearer_auth", "no token")
        sender, is_taken = self._heads.sender(head), None
        try:
            is_taken = self._rewritten.may_be(sender, self._servers.identify(head.token))
        except PeerRefused:
            await self._readers.of_token(head.token, sender)
        is_proxied = any(name in head.headers for name in _OF_PROXIES)
        return Arrival(head.sender, str(sender), str(plain_address(head.peer)), is_proxied, is_taken)

    def _query(self, head: Head) -> Query:
        return Query(head, ("secs",))

    @api.route("GET", f"{_ROOT}/account", allow=_allow_anyone, answer=None, is_public=True)
    async def account(self, proofs: str | None, _body: None) -> Response:
        """Say how this scheduler stands, for the others."""
        return json_response(json.dumps(self._account(proofs).to_json()).encode())

    @api.route("GET", f"{_ROOT}/way", allow=_allow_known, body=_query, answer=None)
    async def way(self, way: Arrival, query: Mapping[str, str]) -> Response:
        """Say how a request has come, at once or after some seconds, for which nothing is sent."""
        secs = min(queries.seconds(query, "secs", 0.0), MOST_SECS)
        document = {
            "v": 1,
            "sender": way.sender,
            "peer": way.peer,
            "is_proxied": way.is_proxied,
            "is_taken": way.is_taken,
            "max_wait_secs": self._queue().max_wait_secs,
            "held": await self._hold(way.party, secs),
        }
        return json_response(json.dumps(document).encode())

    async def _hold(self, party: Party, secs: float) -> float:
        """Wait; returns for how many seconds. Where too many wait already, that is 0."""
        if not secs or self._held.total() >= HELD or self._held[party] >= HELD_OF_PARTY:
            return 0.0
        self._held[party] += 1
        try:
            await deferLater(self._clock, secs)
        finally:
            self._held[party] -= 1
            if not self._held[party]:
                del self._held[party]
        return secs
