"""The build server's endpoints."""

from pathlib import Path

from klein import Klein

from sccachedist.config import Limits
from sccachedist.errors import PeerRefused
from sccachedist.server.build_server import BuildServer
from sccachedist.server.inputs import InputsSpool, ReceivedJob
from sccachedist.server.tls import ShownIdentity
from sccachedist.server.toolchains import Upload
from sccachedist.web.bodies import MessageBody, NoBody
from sccachedist.web.head import Head
from sccachedist.web.routes import Api
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
from sccachedist.wire.tokens import check_job_token

_ROOT = "/api/v1/distserver"


class ServerRoutes:
    """What schedulers and clients ask a build server.

    :param identity: has the key that job tokens are signed with.
    """

    api = Api()
    app: Klein = api.app

    def __init__(self, build_server: BuildServer, identity: ShownIdentity, limits: Limits) -> None:
        self._build_server, self._identity, self._limits = build_server, identity, limits

    async def _allow_job(self, head: Head, job_id: JobId) -> None:
        if head.token is None:
            raise PeerRefused("invalid_jwt", "no job token")
        check_job_token(head.token, self._identity.current.job_key, job_id)

    def _assignment(self, head: Head, job_id: JobId) -> MessageBody[Toolchain]:
        return MessageBody(TOOLCHAIN, head, self._limits.message_bytes, "message_bytes")

    def _archive(self, head: Head, job_id: JobId) -> Upload | NoBody:
        return self._build_server.receive_toolchain(job_id)

    def _job(self, head: Head, job_id: JobId) -> InputsSpool:
        return self._build_server.receive_inputs(head)

    @api.route(
        "POST",
        f"{_ROOT}/assign_job/<u64:job_id>",
        allow=_allow_job,
        body=_assignment,
        answer=ASSIGN_JOB_RESULT,
    )
    async def assign_job(self, _granted: None, toolchain: Toolchain, job_id: JobId) -> AssignJobResult:
        """The scheduler has a job for this server."""
        return self._build_server.assign(job_id, toolchain)

    @api.route(
        "POST",
        f"{_ROOT}/submit_toolchain/<u64:job_id>",
        allow=_allow_job,
        body=_archive,
        answer=SUBMIT_TOOLCHAIN_RESULT,
    )
    async def submit_toolchain(self, _granted: None, upload: Upload | None, job_id: JobId) -> SubmitToolchainResult:
        """A client brings the toolchain that its job needs."""
        return await self._build_server.submit(job_id, upload)

    @api.route("POST", f"{_ROOT}/run_job/<u64:job_id>", allow=_allow_job, body=_job, answer=RUN_JOB_RESULT)
    async def run_job(self, _granted: None, received: ReceivedJob, job_id: JobId) -> Path | JobNotFound:
        """A client brings the inputs of its job, and waits for the result."""
        return await self._build_server.run(job_id, received)
