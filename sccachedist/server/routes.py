"""The build server's endpoints."""

from klein import Klein

from sccachedist.budgets import Party
from sccachedist.config import ServerLimits
from sccachedist.errors import PeerRefused
from sccachedist.server.inputs import InputsSpool, ReceivedJob
from sccachedist.server.job_runner import Delivery, JobRunner
from sccachedist.server.tls import ShownIdentity
from sccachedist.server.uploads import Upload
from sccachedist.web.bodies import MessageBody, NoBody
from sccachedist.web.request_head import Head
from sccachedist.web.responses import MessageFile
from sccachedist.web.router import Api
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
    """What schedulers and clients ask a build server.

    :param identity: has the key that job tokens are signed with.
    """

    api = Api()
    app: Klein = api.app

    def __init__(self, runner: JobRunner, identity: ShownIdentity, limits: ServerLimits) -> None:
        self._runner, self._identity, self._limits = runner, identity, limits

    def _grant(self, head: Head, job_id: JobId) -> Grant | None:
        if head.token is None:
            raise PeerRefused("invalid_jwt", "no job token")
        return check_job_token(head.token, self._identity.current.job_key, job_id)

    async def _allow_scheduler(self, head: Head, job_id: JobId) -> None:
        if self._grant(head, job_id) is not None:  # ours gives such tokens to clients, and keeps others
            raise PeerRefused("invalid_jwt", "a client's token does not assign jobs")

    async def _allow_client(self, head: Head, job_id: JobId) -> None:
        if (grant := self._grant(head, job_id)) is not None:
            self._runner.introduce(job_id, grant)

    def _party(self, head: Head, job_id: JobId) -> Party:
        """As whom a client shares with others: as its scheduler calls it, else by its address."""
        grant = self._grant(head, job_id)
        return Party(head.peer if grant is None or grant.client is None else grant.client)

    def _assignment(self, head: Head, job_id: JobId) -> MessageBody[Toolchain]:
        return MessageBody(
            TOOLCHAIN, head, self._limits.message_bytes, "message_bytes", self._runner.memory.open(head.sender)
        )

    def _archive(self, head: Head, job_id: JobId) -> Delivery:
        return self._runner.receive_toolchain(job_id, self._party(head, job_id))

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
        """The scheduler has a job for this server."""
        return self._runner.assign(job_id, toolchain)

    @api.route(
        "POST",
        f"{_ROOT}/submit_toolchain/<u64:job_id>",
        allow=_allow_client,
        body=_archive,
        answer=SUBMIT_TOOLCHAIN_RESULT,
    )
    async def submit_toolchain(self, _granted: None, upload: Upload | None, job_id: JobId) -> SubmitToolchainResult:
        """A client brings the toolchain that its job needs."""
        return await self._runner.submit(job_id, upload)

    @api.route("POST", f"{_ROOT}/run_job/<u64:job_id>", allow=_allow_client, body=_job, answer=RUN_JOB_RESULT)
    async def run_job(self, _granted: None, received: ReceivedJob | None, job_id: JobId) -> MessageFile | JobNotFound:
        """A client brings the inputs of its job, and waits for the result."""
        return await self._runner.run(job_id, received)
