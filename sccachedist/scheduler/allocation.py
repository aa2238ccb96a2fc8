"""Allocating a job: a slot from the core, a word with the build server, an answer for the client."""

from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from sccachedist.errors import BadTransition, DecodeError, PeerError, UnknownServer
from sccachedist.logs import Logger
from sccachedist.scheduler.core import NoCapacity, Reservation, SchedulerCore
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.messages import AllocJobFail, AllocJobSuccess, AssignJobResult, JobAlloc, Toolchain
from sccachedist.wire.tokens import job_token

log = Logger()

#: How many build servers are asked within one allocation before the client is told to compile locally.
MOST_TRIES = 4


class BuildServers(Protocol):
    """The build servers as an allocation needs them."""

    async def assign(self, reserved: Reservation, token: str, toolchain: Toolchain) -> AssignJobResult:
        """Tell a build server of its job.

        :raises PeerError: it does not take it.
        """


class Allocation:
    """Allocates jobs, one after the other or many at once: none waits for another's build server."""

    def __init__(self, core: SchedulerCore, build_servers: BuildServers, clock: IReactorTime) -> None:
        self._core, self._build_servers, self._clock = core, build_servers, clock

    async def allocate(self, toolchain: Toolchain) -> AllocJobSuccess | AllocJobFail:
        """A build server and a token for one job, or the reason why there is none."""
        try:
            archive_id(toolchain.archive_id)
        except DecodeError as error:
            return AllocJobFail(str(error))
        tried: list[ServerId] = []
        while True:
            try:
                return await self._try(toolchain, tried)
            except NoCapacity as error:
                return AllocJobFail(str(error))
            except (PeerError, UnknownServer, BadTransition) as error:
                log.warn("job not assigned to {server}: {error}", server=str(tried[-1]), error=str(error))
                if len(tried) == MOST_TRIES:
                    return AllocJobFail(f"{MOST_TRIES} build servers did not take the job")

    async def _try(self, toolchain: Toolchain, tried: list[ServerId]) -> AllocJobSuccess:
        reserved = self._core.reserve(self._clock.seconds(), tried)
        tried.append(reserved.server_id)
        try:
            token = job_token(reserved.job_key, reserved.job_id)
            assigned = await self._build_servers.assign(reserved, token, toolchain)
        except BaseException as error:
            self._core.release(reserved, self._clock.seconds(), failed=isinstance(error, PeerError))
            raise
        self._core.confirm(reserved, assigned, self._clock.seconds())
        log.info("job {job_id} assigned to {server}", job_id=reserved.job_id, server=str(reserved.server_id))
        return AllocJobSuccess(
            job_alloc=JobAlloc(token, reserved.job_id, reserved.server_id),
            need_toolchain=assigned.need_toolchain,
            cert_digest=reserved.cert_digest,
        )
