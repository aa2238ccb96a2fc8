"""The endpoint by which other build servers fetch toolchains from this one.

The scheduler tells them who has a toolchain, and signs a token for it with this server's job key. Few may fetch at a
time: the others are told to ask elsewhere, or later. What is in an archive is not known here.
"""

from collections.abc import Callable
from functools import partial

from klein import Klein

from sccachedist.errors import PeerRefused, ToolchainError
from sccachedist.server.tls import ShownIdentity
from sccachedist.toolchains.cache import Toolchains
from sccachedist.web.bodies import OCTETS
from sccachedist.web.request_head import Head
from sccachedist.web.responses import FileResponse, MessageFile, Response
from sccachedist.web.router import Api
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.tokens import check_toolchain_token

#: How many archives are sent at a time: with more, all would arrive late.
MOST_LOANS = 2
#: The most seconds between the issue of a token and its use, by the scheduler's clock.
TOKEN_SECS = 300.0

NOT_HERE, BUSY = Response(404), Response(503)


class LendingRoutes:
    """Sends toolchains to those that have the scheduler's token for one.

    :param identity: has the key that signs tokens.
    :param scheduler_time: returns the time by the scheduler's clock, if that is known.
    """

    api = Api()
    app: Klein = api.app

    def __init__(
        self, toolchains: Toolchains, identity: ShownIdentity, scheduler_time: Callable[[], float | None]
    ) -> None:
        self._toolchains, self._identity, self._scheduler_time = toolchains, identity, scheduler_time
        self._loans = 0
        #: Archives that were sent, and those that were not, by reason.
        self.lent = {"sent": 0, "failed": 0, "busy": 0, "missing": 0}

    async def _allow(self, head: Head, toolchain: ArchiveId) -> None:
        if head.token is None:
            raise PeerRefused("invalid_jwt", "no token for a toolchain")
        issued = check_toolchain_token(head.token, self._identity.current.job_key, toolchain)
        now = self._scheduler_time()
        if now is None or abs(now - issued) > TOKEN_SECS:
            raise PeerRefused("invalid_jwt", "a token for a toolchain that is not of now")

    @api.route("GET", "/api/v1/distserver/toolchain/<archive_id:toolchain>", allow=_allow, answer=None)
    async def toolchain(self, _granted: None, _body: None, toolchain: ArchiveId) -> Response | FileResponse:
        """Send an archive to another build server."""
        if self._loans >= MOST_LOANS:
            self.lent["busy"] += 1
            return BUSY
        self._loans += 1
        try:
            path = await self._toolchains.lend(toolchain)
        except BaseException as error:
            self._loans -= 1
            if not isinstance(error, ToolchainError):
                raise
            self.lent["missing"] += 1
            return NOT_HERE
        file = MessageFile(path, partial(self._taken, toolchain))
        return FileResponse(Response(200, (("Content-Type", OCTETS),)), file, is_kept=True)

    def _taken(self, toolchain: ArchiveId, error: BaseException | None) -> None:
        self._loans -= 1
        self.lent["sent" if error is None else "failed"] += 1
        self._toolchains.take_back(toolchain)
