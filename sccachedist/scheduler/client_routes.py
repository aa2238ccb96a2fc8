"""The endpoint at which administrators see the clients with names, and who still shows which token.

The endpoints that clients themselves use are in :mod:`sccachedist.scheduler.routes`.
:mod:`sccachedist.scheduler.named_clients` has what it says.
"""

from sccachedist.auth.roster import Roster
from sccachedist.records.client_documents import NamedClientsDocument
from sccachedist.scheduler.farm_readers import FarmReader, FarmReaders
from sccachedist.scheduler.farm_views import FarmViews
from sccachedist.scheduler.named_clients import NamedClientSums
from sccachedist.web.request_head import Head
from sccachedist.web.responses import Response, json_response
from sccachedist.web.router import Api


class ClientRoutes:
    """What administrators ask about clients.

    :param roster: knows their tokens, and when each was shown.
    :param since: from when on it knows that, in seconds since 1970.
    """

    api = Api()
    app = api.app

    def __init__(self, views: FarmViews, roster: Roster, readers: FarmReaders, since: float) -> None:
        self._views, self._roster, self._readers, self._since = views, roster, readers, since

    async def _allow_administrator(self, head: Head) -> FarmReader:
        return await self._readers.check_administrator(head)

    @api.route("GET", "/api/v1/admin/clients", allow=_allow_administrator, answer=None)
    async def named_clients(self, reader: FarmReader, _body: None) -> Response:
        """Tell of each client what it has, and of each token when it was shown last."""
        sums = NamedClientSums(self._views.terms.current.waiting, self._roster.client_of)
        async for job in self._views.jobs(reader.party):
            sums.hold(job.client)
        rows = list(sums.rows(self._roster.uses()))
        document = NamedClientsDocument(v=1, since=round(self._since, 3), clients=rows)
        return json_response(await self._views.slices.json(reader.party, document))
