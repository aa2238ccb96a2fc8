"""The build server's HTTP endpoints: who may call each, where its body goes, and which answer it has.

The work is done by :mod:`sccachedist.server.job_runner`; the status of an error is in
:mod:`sccachedist.web.responses`.
"""

from collections.abc import Awaitable, Callable

from klein import Klein

from sccachedist.auth.bearer import crowd_of
from sccachedist.budgets import Party
from sccachedist.config import ServerLimits
from sccachedist.errors import PeerRefused, StaleToken
from sccachedist.server.deliveries import Delivery
from sccachedist.server.farm_source import nowhere
from sccachedist.server.inputs import InputsSpool, ReceivedJob
from sccachedist.server.job_runner import JobRunner
from sccachedist.server.tls import ShownIdentity
from sccachedist.toolchains.uploads import Upload
from sccachedist.web.bodies import MessageBody, NoBody
from sccachedist.web.request_head import Head
from sccachedist.web.responses import MessageFile
from sccachedist.web.router import Api
from sccachedist.wire.archive_id import ArchiveId, archive_id
from sccachedist.wire.messages import (
    ASSIGN_JOB_RESULT,
    RUN_JOB_RESULT,
    SUBMIT_TOOLCHAIN_RESULT,
    TOOLCHAIN,
    AssignJobResult,
    JobId,
    JobNotFound,
    SubmitToolchainResult,
    Toolchain,
)
from sccachedist.wire.tokens import Grant, check_job_token

_ROOT = "/api/v1/distserver"


class ServerRoutes:
    """The routes for schedulers and clients.

    :param identity: has the key that signs job tokens.
    :param is_stored: whether a toolchain is on its way from an object store, so that no client has to bring it.
    """

    api = Api()
    app: Klein = api.app

    def __init__(
        self,
        runner: JobRunner,
        identity: ShownIdentity,
        limits: ServerLimits,
        is_stored: Callable[[ArchiveId], Awaitable[bool]] = nowhere,
    ) -> None:
        self._runner, self._identity, self.limits, self._is_stored = runner, identity, limits, is_stored

    def _grant(self, head: Head, job_id: JobId) -> Grant | None:
        if head.token is None:
            raise PeerRefused("invalid_jwt", "no job token")
        return check_job_token(head.token, self._identity.current.job_key, job_id)

    async def _allow_scheduler(self, head: Head, job_id: JobId) -> None:
        if (
            self._grant(head, job_id) is not None
        ):  # clients get such tokens from our scheduler, which keeps others to itself
            raise PeerRefused("invalid_jwt", "a client's token does not assign jobs")

    async def _allow_client(self, head: Head, job_id: JobId) -> None:
        try:
            grant = self._grant(head, job_id)
        except StaleToken as error:
            self._runner.turned_away(head.peer, error)
            raise
        if grant is not None:
            self._runner.introduce(job_id, grant)

    def _party(self, head: Head, job_id: JobId) -> Party:
        """Return the party that is charged: the client's name in the scheduler's token, else its address or /64."""
        grant = self._grant(head, job_id)
        return Party(crowd_of(head.peer) if grant is None or grant.client is None else grant.client)

    def _assignment(self, head: Head, job_id: JobId) -> MessageBody[Toolchain]:
        return MessageBody(
            TOOLCHAIN, head, self.limits.message_bytes, "message_bytes", self._runner.memory.open(head.sender)
        )

    def _archive(self, head: Head, job_id: JobId) -> Delivery:
        return self._runner.receive_toolchain(job_id, head, self._party(head, job_id))

    def _job(self, head: Head, job_id: JobId) -> InputsSpool | NoBody:
        return self._runner.receive_inputs(job_id, head, self._party(head, job_id))

    @api.route(
        "POST",
        f"{_ROOT}/assign_job/<u64:job_id>",
        allow=_allow_scheduler,
        body=_assignment,
        answer=ASSIGN_JOB_RESULT,
    )
    async def assign_job(self, _granted: None, toolchain: Toolchain, job_id: JobId) -> AssignJobResult:
        """Accept a job from the scheduler."""
        assigned = self._runner.assign(job_id, toolchain)
        if assigned.need_toolchain and await self._is_stored(archive_id(toolchain.archive_id)):
            return AssignJobResult(assigned.state, need_toolchain=False)
        return assigned

    @api.route(
        "POST",
        f"{_ROOT}/submit_toolchain/<u64:job_id>",
        allow=_allow_client,
        body=_archive,
        answer=SUBMIT_TOOLCHAIN_RESULT,
    )
    async def submit_toolchain(self, _granted: None, upload: Upload | None, job_id: JobId) -> SubmitToolchainResult:
        """Take a toolchain from the client of a job."""
        return await self._runner.submit(job_id, upload)

    @api.route("POST", f"{_ROOT}/run_job/<u64:job_id>", allow=_allow_client, body=_job, answer=RUN_JOB_RESULT)
    async def run_job(self, _granted: None, received: ReceivedJob | None, job_id: JobId) -> MessageFile | JobNotFound:
        """Take the inputs of a job from its client, run it, and answer with the result."""
        return await self._runner.run(job_id, received)
