"""A scheduler's endpoints for a monitoring system: the metrics of the farm, and where those of build servers are.

They stand at the scheduler's own port, so a token is asked for. What they show is made in
:mod:`sccachedist.scheduler.metrics`. The port of its own, with ``/healthz`` and ``/readyz``, is
:mod:`sccachedist.metrics.routes`.
"""

import attrs
from werkzeug.http import parse_accept_header

from sccachedist.auth.bearer import same_secret
from sccachedist.scheduler.farm_readers import FarmReaders
from sccachedist.scheduler.metrics import SchedulerMetrics
from sccachedist.web.request_head import Head
from sccachedist.web.responses import Response
from sccachedist.web.router import Api

#: The most characters of an Accept-Encoding that is read.
_LONGEST_CODING = 300


@attrs.frozen
class Accepted:
    """What a reader accepts: media types, and whether they may be compressed."""

    media_types: str
    gzip: bool

    @classmethod
    def of(cls, head: Head) -> "Accepted":
        """As its request says."""
        codings = head.headers.get("accept-encoding", "")
        gzip = len(codings) <= _LONGEST_CODING and parse_accept_header(codings)["gzip"] > 0
        return cls(head.headers.get("accept", ""), gzip)


class ScrapeRoutes:
    """What a monitoring system asks a scheduler.

    :param token: the secret that it may show, if there is one; administrators may read the same.
    """

    api = Api()
    app = api.app

    def __init__(self, metrics: SchedulerMetrics, token: str | None, readers: FarmReaders) -> None:
        self._metrics, self.token, self._readers = metrics, token, readers

    async def _allow_scraper(self, head: Head) -> Accepted:
        if self.token is None or not same_secret(head.token or "", self.token):
            await self._readers.check_administrator(head)
        return Accepted.of(head)

    @api.route("GET", "/metrics", allow=_allow_scraper, answer=None)
    async def metrics(self, accepted: Accepted, _body: None) -> Response:
        """Show the series of the scheduler."""
        return await self._metrics.expose(accepted.media_types)

    @api.route("GET", "/metrics/servers", allow=_allow_scraper, answer=None)
    async def metrics_servers(self, accepted: Accepted, _body: None) -> Response:
        """Show the series of each build server."""
        return await self._metrics.servers(gzip=accepted.gzip)

    @api.route("GET", "/metrics/targets", allow=_allow_scraper, answer=None)
    async def metrics_targets(self, _accepted: Accepted, _body: None) -> Response:
        """Say where the metrics of build servers are."""
        return await self._metrics.targets()
