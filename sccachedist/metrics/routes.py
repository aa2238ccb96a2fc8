"""The port of ``[metrics] address``: a role's metrics, whether it lives, and whether it is ready for work.

Anyone who reaches the port may ask: its address is the protection. Why a role is not ready is found in its
``service.py`` (``unready``).
"""

from collections.abc import Awaitable, Callable

from klein import Klein

from sccachedist import __version__
from sccachedist.web.request_head import Head
from sccachedist.web.responses import Response
from sccachedist.web.router import Api

#: From what a reader accepts to the response with a role's metrics.
Expose = Callable[[str], Awaitable[Response]]


class MonitorRoutes:
    """What a monitoring system asks a daemon.

    :param expose: makes the response with the metrics.
    :param unready: returns why the role is not ready for work; empty if it is.
    """

    api = Api()
    app: Klein = api.app

    def __init__(self, expose: Expose, unready: Callable[[], str]) -> None:
        self._expose, self._unready = expose, unready

    async def _allow_anyone(self, head: Head) -> str:
        return head.headers.get("accept", "")

    @api.route("GET", "/metrics", allow=_allow_anyone, answer=None, is_public=True)
    async def metrics(self, accept: str, _body: None) -> Response:
        """Show the metrics."""
        return await self._expose(accept)

    @api.route("GET", "/healthz", allow=_allow_anyone, answer=None, is_public=True)
    async def healthz(self, _accept: str, _body: None) -> Response:
        """Say that the daemon lives: one whose reactor is held up does not."""
        return plain_text(200, f"sccachedist {__version__}")

    @api.route("GET", "/readyz", allow=_allow_anyone, answer=None, is_public=True)
    async def readyz(self, _accept: str, _body: None) -> Response:
        """Say whether the role is ready for work, and why not."""
        unready = self._unready()
        return plain_text(503 if unready else 200, unready or "ready")


def plain_text(status: int, line: str) -> Response:
    """A response of one line."""
    return Response(status, (("Content-Type", "text/plain; charset=utf-8"),), f"{line}\n".encode())
