"""The scheduler's endpoints of the published protocol, and who may use each: a client, a build server, or anyone.

:mod:`sccachedist.scheduler.admin_routes` has those of administrators. :mod:`sccachedist.scheduler.term` knows what an
answer says; :mod:`sccachedist.web.responses` has the status of an error.
"""

from collections.abc import Sequence
from typing import cast

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import LogLevel

from sccachedist import __version__
from sccachedist.auth.bearer import IPAddress, IPNetwork, client_address, neighbourhood, sender_address
from sccachedist.auth.clients import ClientAuth, address_of, party_of
from sccachedist.auth.servers import Rewritten, ServerAuth, check_server
from sccachedist.budgets import Budget, Party
from sccachedist.cluster.other_leaders import OtherLeaders
from sccachedist.config import SchedulerLimits
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import ClientTokenEnded, SccachedistError
from sccachedist.scheduler.farm_readers import FarmReader, FarmReaders
from sccachedist.scheduler.farm_views import FarmViews
from sccachedist.scheduler.term import Terms
from sccachedist.web.bodies import MessageBody
from sccachedist.web.request_head import Head
from sccachedist.web.responses import prefers_json
from sccachedist.web.router import Api
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.bincode import Json, Reader, annotated, encode
from sccachedist.wire.extension import (
    EXTENDED_HEARTBEAT,
    EXTENDED_HEARTBEAT_RESULT,
    JOB_STATES,
    JobStates,
    SchedulerReport,
    ServerReport,
)
from sccachedist.wire.holders import HOLDERS, POPULAR, Holders, Popular
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
    UpdateJobStateSuccess,
)

log = Logger()

_ROOT = "/api/v1/scheduler"

#: The farm in numbers. Their JSON form has this scheduler's version as well.
_TOTALS = annotated(SCHEDULER_STATUS, version=__version__)


@attrs.frozen
class ListedStatus:
    """The farm in numbers, and in their JSON form its build servers for those who may know.

    :param servers: in the form of sccache's pull request 2714; None for all others.
    """

    totals: SchedulerStatus
    servers: list[Json] | None


@attrs.frozen
class Reporting:
    """A build server that reports where a job stands.

    :param head: of its request, for other schedulers, if there are any.
    """

    server_id: ServerId
    head: Head | None


class _StatusCodec:
    """The bytes are the published ones."""

    def write(self, value: ListedStatus, out: bytearray) -> None:
        _TOTALS.write(value.totals, out)

    def read(self, source: Reader) -> ListedStatus:
        return ListedStatus(_TOTALS.read(source), None)

    def to_json(self, value: ListedStatus) -> Json:
        totals = cast(dict[str, Json], _TOTALS.to_json(value.totals))
        return totals if value.servers is None else {**totals, "servers": value.servers}


_STATUS = _StatusCodec()


class SchedulerRoutes:
    """What clients, build servers and administrators ask a scheduler.

    :param terms: what the scheduler knows.
    :param proxies: the networks from which ``X-Real-IP`` is believed.
    :param readers: who may see more of the farm than its numbers; ``views``: what they see.
    :param others: hear of jobs that this scheduler has not given out; None if it is the only one.
    :param rewritten: from where build servers may come with other addresses than their own.
    """

    api = Api()
    app = api.app

    def __init__(
        self,
        terms: Terms,
        clients: ClientAuth,
        servers: ServerAuth,
        proxies: Sequence[IPNetwork],
        limits: SchedulerLimits,
        clock: IReactorTime,
        readers: FarmReaders,
        views: FarmViews,
        others: OtherLeaders | None = None,
        rewritten: Rewritten | None = None,
    ) -> None:
        self._readers, self._views, self._others = readers, views, others
        self._terms, self._clients, self._servers = terms, clients, servers
        self.proxies, self.rewritten, self._limits = proxies, rewritten or Rewritten(), limits
        self._quiet_log = QuietLog(clock.seconds)
        self._memory = Budget("buffered_bytes", limits.buffered_bytes)

    def take_limits(self, limits: SchedulerLimits) -> None:
        """Let other limits hold for the bodies that come from now on."""
        self._limits, self._memory.total = limits, limits.buffered_bytes

    async def _allow_client(self, head: Head) -> Party | ClientTokenEnded:
        """The client; or why it is none any more, which is no error: one would fail its build."""
        sender, asked = self._sender(head), self._terms.current.now()
        try:
            return await self._clients.check(head.token, sender)
        except ClientTokenEnded as ended:
            self._terms.current.turned_away(party_of(ended.client, sender), asked, ended)
            return ended
        except Exception as error:
            self._terms.current.turned_away(Party(neighbourhood(sender)), asked, error)
            raise

    def _sender(self, head: Head) -> IPAddress:
        return client_address(head.peer, head.headers.get("x-real-ip"), self.proxies)

    async def _allow_server(self, head: Head, **_: object) -> ServerId:
        sender = sender_address(head.peer, head.headers.get("x-real-ip"), self.proxies)
        return check_server(self._servers, head.token, sender, self.rewritten)

    async def _allow_reporting(self, head: Head, **_: object) -> Reporting:
        return Reporting(await self._allow_server(head), None if self._others is None else head)

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
        memory = self._memory.open(head.sender)
        if self._others is not None:
            memory.grow(head.size)  # it is kept until the state has come
        return MessageBody(JOB_STATE, head, self._limits.message_bytes, "message_bytes", memory)

    @api.route("POST", f"{_ROOT}/alloc_job", allow=_allow_client, body=_toolchain, answer=ALLOC_JOB_RESPONSE)
    async def alloc_job(self, client: Party | ClientTokenEnded, toolchain: Toolchain) -> AllocJobSuccess | AllocJobFail:
        """Allocate a job for a client."""
        if isinstance(client, ClientTokenEnded):
            return AllocJobFail(str(client))
        allocated = await self._terms.place(client, toolchain)
        if isinstance(allocated, AllocJobFail):
            reason = allocated.msg
            address, form = address_of(client), "no job allocated for {client}: {reason}"
            self._quiet_log.tell(
                log, LogLevel.info, "no job", form, by=address, why=reason, client=address, reason=reason
            )
        return allocated

    @api.route(
        "GET",
        f"{_ROOT}/server_certificate/<server_id:server_id>",
        allow=_allow_anyone,
        answer=SERVER_CERTIFICATE,
        is_public=True,
    )
    async def server_certificate(self, _granted: None, _body: None, server_id: ServerId) -> ServerCertificate:
        """Give a client the certificate of its build server."""
        return self._terms.current.certificate(server_id)

    @api.route(
        "POST", f"{_ROOT}/heartbeat_server", allow=_allow_server, body=_heartbeat, answer=EXTENDED_HEARTBEAT_RESULT
    )
    async def heartbeat_server(
        self, server_id: ServerId, said: tuple[Heartbeat, ServerReport | None]
    ) -> tuple[HeartbeatResult, SchedulerReport | None]:
        """A build server says that it lives. Ours adds a report, and gets one in the answer."""
        heartbeat, report = said
        return self._terms.current.heartbeat(server_id, heartbeat, report)

    @api.route(
        "POST",
        f"{_ROOT}/job_state/<u64:job_id>",
        allow=_allow_reporting,
        body=_job_state,
        answer=UPDATE_JOB_STATE_RESULT,
    )
    async def job_state(self, by: Reporting, state: JobState, job_id: JobId) -> UpdateJobStateSuccess:
        """A build server reports where one of its jobs stands. If it is another leader's, that one hears it, too."""
        is_known = self._terms.current.update(by.server_id, job_id, state)
        if not is_known and self._others is not None and by.head is not None:
            self._others.tell(by.head, encode(JOB_STATE, state))
        return UpdateJobStateSuccess()

    @api.route("POST", f"{_ROOT}/job_states", allow=_allow_server, body=_job_states, answer=UPDATE_JOB_STATE_RESULT)
    async def job_states(self, server_id: ServerId, said: JobStates) -> UpdateJobStateSuccess:
        """Our build server reports where several of its jobs stand."""
        self._terms.current.job_states(server_id, said)
        return UpdateJobStateSuccess()

    @api.route("GET", f"{_ROOT}/toolchain_holders/<archive_id:toolchain>", allow=_allow_server, answer=HOLDERS)
    async def toolchain_holders(self, server_id: ServerId, _body: None, toolchain: ArchiveId) -> Holders:
        """Our build server asks who has a toolchain that it lacks."""
        return self._terms.current.holders(server_id, toolchain)

    @api.route("GET", f"{_ROOT}/popular_toolchains", allow=_allow_server, answer=POPULAR)
    async def popular_toolchains(self, server_id: ServerId, _body: None) -> tuple[Popular, ...]:
        """Our build server asks which toolchains to fetch before it joins."""
        return self._terms.current.popular(server_id)

    async def _reader(self, head: Head) -> FarmReader | None:
        """Who sees the build servers, and reads the form that has them. Anyone may have the numbers."""
        if not prefers_json(head):
            return None
        try:
            return await self._readers.check(head)
        except SccachedistError:
            return None

    @api.route("GET", f"{_ROOT}/status", allow=_reader, answer=_STATUS, is_public=True)
    async def status(self, reader: FarmReader | None, _body: None) -> ListedStatus:
        """Tell anyone how the farm is, in numbers."""
        servers: list[Json] | None = None
        if reader is not None:
            servers = [
                {"address": str(server.server_id), "num_cpus": server.num_cpus, "in_progress": server.jobs}
                for server in await self._views.servers(reader.party)
            ]
        return ListedStatus(self._terms.current.status(), servers)
