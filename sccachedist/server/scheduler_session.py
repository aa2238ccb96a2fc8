"""The messages that a build server sends to its scheduler; :mod:`sccachedist.peers` carries them.

When they are sent is not known here: :mod:`sccachedist.server.heartbeat` and :mod:`sccachedist.server.job_reports`
decide. "Our scheduler" is one of this package: it understands :mod:`sccachedist.wire.extension`; a published one does
not.
"""

import secrets
from collections.abc import Iterator
from itertools import count
from typing import Protocol, TypeVar

import attrs

from sccachedist.errors import PeerError
from sccachedist.peers.http_client import Calls
from sccachedist.peers.messages import decoded
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.bincode import Codec, encode
from sccachedist.wire.extension import (
    EXTENDED_HEARTBEAT,
    EXTENDED_HEARTBEAT_RESULT,
    JOB_STATES,
    JobStates,
    SchedulerReport,
    ServerReport,
    Summaries,
)
from sccachedist.wire.holders import HOLDERS, POPULAR, Holders, Popular
from sccachedist.wire.messages import (
    JOB_STATE,
    UPDATE_JOB_STATE_RESULT,
    Heartbeat,
    HeartbeatResult,
    JobId,
    JobState,
    UpdateJobStateFail,
    UpdateJobStateResult,
)

T = TypeVar("T")

#: The most seconds that a scheduler may take to answer.
ANSWER_SECS = 20.0
#: The most bytes of an answer.
ANSWER_BYTES = 1 << 16
#: Statuses with which a proxy says that the scheduler behind it did not answer; None: there was no answer at all.
_UNREACHED = (None, 502, 503, 504)


def _fresh_nonce() -> int:
    return secrets.randbits(64)


@attrs.define
class Incarnation:
    """One run of a build server: the nonce of its heartbeats, and the numbers of its messages."""

    nonce: int = attrs.field(factory=_fresh_nonce)
    _numbers: Iterator[int] = attrs.field(factory=count)

    def begin_again(self) -> None:
        """Come as another one from now on: a published scheduler reads the number of CPUs only then.

        It forgets which jobs it has sent here. They run on, for it is no party to that.
        """
        self.nonce = _fresh_nonce()

    def number(self) -> int:
        """Return the number of the next message."""
        return next(self._numbers)


class SchedulerSession(Protocol):
    """Sends messages to the scheduler."""

    @property
    def is_ours(self) -> bool:
        """Whether its last answer to a heartbeat had the extension, so that it is our scheduler."""

    async def heartbeat(
        self, heartbeat: Heartbeat, report: ServerReport
    ) -> tuple[HeartbeatResult, SchedulerReport | None]:
        """Send a heartbeat; returns the answer, and None instead of a report from a published scheduler.

        :param report: only our scheduler reads it.
        :raises PeerError: the scheduler did not take it.
        """

    async def job_state(self, job_id: JobId, state: JobState) -> None:
        """Send the state of one job.

        :raises PeerError: the scheduler did not take it.
        """

    async def job_states(self, states: tuple[tuple[JobId, JobState], ...], summaries: Summaries) -> None:
        """Send the states of several jobs, to our scheduler only.

        :param summaries: of those that are over.
        :raises PeerError: the scheduler did not take it.
        """


@attrs.define
class HttpSchedulerSession:
    """Sends messages to a scheduler by HTTP.

    :param url: what stands before the protocol's paths, without a slash at its end.
    :param token: the server token.
    """

    _calls: Calls
    _url: str
    token: str = attrs.field(repr=False)
    _incarnation: Incarnation
    is_ours: bool = attrs.field(default=False, init=False)
    has_answered: bool = attrs.field(default=False, init=False)

    async def heartbeat(
        self, heartbeat: Heartbeat, report: ServerReport
    ) -> tuple[HeartbeatResult, SchedulerReport | None]:
        """Send a ``heartbeat_server``."""
        body = encode(EXTENDED_HEARTBEAT, (heartbeat, report))
        answer = await self._post("heartbeat_server", body, EXTENDED_HEARTBEAT_RESULT)
        self.has_answered, self.is_ours = True, answer[1] is not None
        return answer

    async def job_state(self, job_id: JobId, state: JobState) -> None:
        """Send a ``job_state``."""
        _check_noted(await self._post(f"job_state/{job_id}", encode(JOB_STATE, state), UPDATE_JOB_STATE_RESULT))

    async def job_states(self, states: tuple[tuple[JobId, JobState], ...], summaries: Summaries) -> None:
        """Send a ``job_states``."""
        said = JobStates(self._incarnation.nonce, self._incarnation.number(), states, summaries)
        _check_noted(await self._post("job_states", encode(JOB_STATES, said), UPDATE_JOB_STATE_RESULT))

    async def holders(self, toolchain: ArchiveId) -> Holders:
        """Ask our scheduler who has a toolchain.

        :raises PeerError: it does not say, or is a published one.
        """
        if self.has_answered and not self.is_ours:
            raise PeerError("the scheduler is not one of sccachedist")
        url = f"{self._url}/api/v1/scheduler/toolchain_holders/{toolchain}"
        return decoded(HOLDERS, await self._calls.get(url, token=self.token, timeout=ANSWER_SECS, limit=ANSWER_BYTES))

    async def popular(self) -> tuple[Popular, ...]:
        """Ask which toolchains the farm needs most.

        :raises PeerError: the scheduler does not say: it may be a published one.
        """
        url = f"{self._url}/api/v1/scheduler/popular_toolchains"
        return decoded(POPULAR, await self._calls.get(url, token=self.token, timeout=ANSWER_SECS, limit=ANSWER_BYTES))

    async def _post(self, path: str, body: bytes, answer: Codec[T]) -> T:
        octets = await self._calls.post(
            f"{self._url}/api/v1/scheduler/{path}",
            body,
            token=self.token,
            timeout=ANSWER_SECS,
            limit=ANSWER_BYTES,
        )
        return decoded(answer, octets)


def unreached(error: PeerError) -> bool:
    """Whether a message failed without an answer of the scheduler itself."""
    return error.status in _UNREACHED


def _check_noted(result: UpdateJobStateResult) -> None:
    if isinstance(result, UpdateJobStateFail):
        raise PeerError(f"the scheduler refused a job's state: {result.msg}", status=200)
