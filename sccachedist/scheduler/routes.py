"""The scheduler's endpoints, and who may use each: a client, a build server, an administrator, or anyone.

Only an administrator may drain a build server here; a build server drains itself by signal
(:mod:`sccachedist.server.service`). :mod:`sccachedist.scheduler.core` and :mod:`sccachedist.scheduler.allocation`
decide what an answer says; :mod:`sccachedist.web.responses` has the status of an error.
"""

from collections.abc import Callable, Iterable, Sequence

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import LogLevel

from sccachedist import __version__
from sccachedist.auth.bearer import IPAddress, IPNetwork, same_secret, sender_address
from sccachedist.auth.clients import ClientAuth
from sccachedist.auth.servers import ServerAuth, check_server
from sccachedist.budgets import Budget, Party
from sccachedist.config import SchedulerLimits
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import DecodeError, PeerRefused
from sccachedist.peers.pins import Pins
from sccachedist.scheduler.allocation import Allocation
from sccachedist.scheduler.certificates import certificate_digest
from sccachedist.scheduler.core import SchedulerCore
from sccachedist.web.bodies import MessageBody, NoBody
from sccachedist.web.request_head import Head
from sccachedist.web.router import Api
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import annotated
from sccachedist.wire.extension import (
    EXTENDED_HEARTBEAT,
    EXTENDED_HEARTBEAT_RESULT,
    JOB_STATES,
    Availability,
    JobStates,
    SchedulerReport,
    ServerReport,
)
from sccachedist.wire.messages import (
    ALLOC_JOB_RESPONSE,
    JOB_STATE,
    SCHEDULER_STATUS,
    SERVER_CERTIFICATE,
    TOOLCHAIN,
    UPDATE_JOB_STATE_RESULT,
    AllocJobFail,
    AllocJobSuccess,
    Heartbeat,
    HeartbeatResult,
    JobId,
    JobState,
    SchedulerStatus,
    ServerCertificate,
    Toolchain,
    UpdateJobStateFail,
    UpdateJobStateResult,
    UpdateJobStateSuccess,
)

log = Logger()

_ROOT = "/api/v1/scheduler"

#: What an administrator is told that names an address without a build server.
_NOT_HERE = {
    "drain": "no build server has the address {}; one that comes there gets no jobs",
    "undrain": "no build server has the address {}; one that comes there gets jobs",
}
#: The farm in numbers. Their JSON form has this scheduler's version as well.
_STATUS = annotated(SCHEDULER_STATUS, version=__version__)


class SchedulerRoutes:
    """What clients, build servers and administrators ask a scheduler.

    :param admin_token: the token that an administrator shows; without it there are no administrators.
    :param proxies: the networks from which ``X-Real-IP`` is believed.
    :param issued: the clock by which job tokens are issued, in seconds since 1970; 0 if that is not told.
    """

    api = Api()
    app = api.app

    def __init__(
        self,
        core: SchedulerCore,
        allocation: Allocation,
        pins: Pins,
        clients: ClientAuth,
        servers: ServerAuth,
        admin_token: str | None,
        proxies: Sequence[IPNetwork],
        limits: SchedulerLimits,
        clock: IReactorTime,
        issued: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._core, self._allocation, self._pins = core, allocation, pins
        self._clients, self._servers, self._proxies = clients, servers, proxies
        self._admin_token, self._limits, self._clock = admin_token, limits, clock
        self._quiet_log, self._issued = QuietLog(clock.seconds), issued
        self._memory = Budget("buffered_bytes", limits.buffered_bytes)

    async def _allow_client(self, head: Head) -> Party:
        return await self._clients.check(head.token, self._sender(head))

    def _sender(self, head: Head) -> IPAddress:
        """A client's address. If a proxy names none, the proxy's own: a refusal would fail the client's build."""
        try:
            return sender_address(head.peer, head.headers.get("x-real-ip"), self._proxies)
        except DecodeError:
            return sender_address(head.peer, None, self._proxies)

    async def _allow_server(self, head: Head, **_: object) -> ServerId:
        sender = sender_address(head.peer, head.headers.get("x-real-ip"), self._proxies)
        return check_server(self._servers, head.token, sender)

    async def _allow_administrator(self, head: Head, **_: object) -> None:
        if self._admin_token is None or not same_secret(head.token or "", self._admin_token):
            raise PeerRefused("invalid_bearer_token", "not an administrator")

    async def _allow_anyone(self, head: Head, **_: object) -> None:
        pass

    def _toolchain(self, head: Head) -> MessageBody[Toolchain]:
        return MessageBody(TOOLCHAIN, head, self._limits.message_bytes, "message_bytes", self._memory.open(head.sender))

    def _heartbeat(self, head: Head) -> MessageBody[tuple[Heartbeat, ServerReport | None]]:
        return MessageBody(
            EXTENDED_HEARTBEAT, head, self._limits.heartbeat_bytes, "heartbeat_bytes", self._memory.open(head.sender)
        )

    def _job_states(self, head: Head) -> MessageBody[JobStates]:
        return MessageBody(
            JOB_STATES, head, self._limits.heartbeat_bytes, "heartbeat_bytes", self._memory.open(head.sender)
        )

    def _job_state(self, head: Head, job_id: JobId) -> MessageBody[JobState]:
        return MessageBody(JOB_STATE, head, self._limits.message_bytes, "message_bytes", self._memory.open(head.sender))

    def _nothing(self, head: Head, **_: object) -> NoBody:
        return NoBody()

    @api.route("POST", f"{_ROOT}/alloc_job", allow=_allow_client, body=_toolchain, answer=ALLOC_JOB_RESPONSE)
    async def alloc_job(self, client: Party, toolchain: Toolchain) -> AllocJobSuccess | AllocJobFail:
        """Allocate a job for a client."""
        allocated = await self._allocation.allocate(client, toolchain)
        if isinstance(allocated, AllocJobFail):
            reason = allocated.msg
            self._quiet_log.tell(log, LogLevel.info, "no job", "no job allocated: {reason}", reason=reason)
        return allocated

    @api.route(
        "GET",
        f"{_ROOT}/server_certificate/<server_id:server_id>",
        allow=_allow_anyone,
        body=_nothing,
        answer=SERVER_CERTIFICATE,
        is_public=True,
    )
    async def server_certificate(self, _granted: None, _body: None, server_id: ServerId) -> ServerCertificate:
        """Give a client the certificate of its build server."""
        return self._core.certificate(server_id)

    @api.route(
        "POST", f"{_ROOT}/heartbeat_server", allow=_allow_server, body=_heartbeat, answer=EXTENDED_HEARTBEAT_RESULT
    )
    async def heartbeat_server(
        self, server_id: ServerId, said: tuple[Heartbeat, ServerReport | None]
    ) -> tuple[HeartbeatResult, SchedulerReport | None]:
        """A build server says that it lives. Ours adds a report, and gets one in the answer."""
        heartbeat, report = said
        self._check_certificate(server_id, heartbeat)
        if report is not None:
            self._look_for_jobs_of_others(server_id, report.jobs)
        is_new = self._core.heartbeat(server_id, heartbeat, self._clock.seconds(), report)
        if report is not None and report.availability is Availability.GONE:
            self._pins.forget(server_id)
            log.info("build server {server} has gone", server=str(server_id))
        else:
            self._pins.set(server_id, heartbeat.cert_digest)
        self._allocation.serve_waiting()
        if is_new:
            log.info("build server {server} with {cpus} CPUs", server=str(server_id), cpus=heartbeat.num_cpus)
        return HeartbeatResult(is_new), None if report is None else self._report(server_id)

    @api.route(
        "POST",
        f"{_ROOT}/job_state/<u64:job_id>",
        allow=_allow_server,
        body=_job_state,
        answer=UPDATE_JOB_STATE_RESULT,
    )
    async def job_state(self, server_id: ServerId, state: JobState, job_id: JobId) -> UpdateJobStateSuccess:
        """A build server reports where one of its jobs stands."""
        self._core.update(job_id, server_id, state, self._clock.seconds())
        self._allocation.serve_waiting()
        log.debug("job {job_id} is {state}", job_id=job_id, state=state.name)
        return UpdateJobStateSuccess()

    @api.route("POST", f"{_ROOT}/job_states", allow=_allow_server, body=_job_states, answer=UPDATE_JOB_STATE_RESULT)
    async def job_states(self, server_id: ServerId, said: JobStates) -> UpdateJobStateSuccess:
        """Our build server reports where several of its jobs stand."""
        self._look_for_jobs_of_others(server_id, said.states)
        self._core.job_states(server_id, said, self._clock.seconds())
        self._allocation.serve_waiting()
        return UpdateJobStateSuccess()

    @api.route(
        "POST",
        "/api/v1/admin/<any(drain, undrain):order>/<server_id:server_id>",
        allow=_allow_administrator,
        body=_nothing,
        answer=UPDATE_JOB_STATE_RESULT,
    )
    async def drain(self, _granted: None, _body: None, order: str, server_id: ServerId) -> UpdateJobStateResult:
        """Give a build server no more jobs, or jobs again, because an administrator says so.

        That is remembered even if no server is there: it may come back. The answer says so: the address may be wrong.
        """
        here = self._core.drain(server_id, order == "drain")
        self._allocation.serve_waiting()
        log.info(
            "administrator: {order} {server}{remark}",
            order=order,
            server=str(server_id),
            remark="" if here else ", which is not here",
        )
        return UpdateJobStateSuccess() if here else UpdateJobStateFail(_NOT_HERE[order].format(server_id))

    @api.route("GET", f"{_ROOT}/status", allow=_allow_anyone, body=_nothing, answer=_STATUS, is_public=True)
    async def status(self, _granted: None, _body: None) -> SchedulerStatus:
        """Tell anyone how the farm is, in numbers."""
        return self._core.status()

    def _check_certificate(self, server_id: ServerId, heartbeat: Heartbeat) -> None:
        """Refuse a build server whose certificate clients must not trust, and tell the log.

        :raises DecodeError: it is refused, for a reason of :mod:`sccachedist.scheduler.certificates`.
        """
        try:
            if certificate_digest(heartbeat.cert_pem, server_id) != heartbeat.cert_digest:
                raise DecodeError("the certificate does not have the digest that was sent with it")
        except DecodeError as error:
            self._quiet_log.tell(
                log,
                LogLevel.warn,
                "certificate",
                "build server {server} is refused: {error}; it makes a proper certificate when it is restarted "
                "without its old one",
                server=str(server_id),
                error=str(error),
            )
            raise

    def _report(self, server_id: ServerId) -> SchedulerReport:
        return attrs.evolve(self._core.report(server_id), time=int(self._issued()))

    def _look_for_jobs_of_others(self, server_id: ServerId, named: Iterable[tuple[JobId, JobState]]) -> None:
        """Tell the log, now and then, that a build server names jobs of others."""
        others = self._core.jobs_of_others(server_id, (job_id for job_id, _ in named))
        if others:
            self._quiet_log.tell(
                log,
                LogLevel.warn,
                "jobs of others",
                "build server {server} names {count} jobs of others, which has no effect: {job_id} is one of them",
                server=str(server_id),
                count=len(others),
                job_id=others[0],
            )
