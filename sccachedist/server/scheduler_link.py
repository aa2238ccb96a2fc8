"""What a build server tells its scheduler, as messages; :mod:`sccachedist.peers` carries them."""

from typing import Protocol, TypeVar

import attrs

from sccachedist.errors import DecodeError, PeerError
from sccachedist.peers.calls import Calls
from sccachedist.wire.bincode import Codec, decode, encode
from sccachedist.wire.messages import (
    HEARTBEAT,
    HEARTBEAT_RESULT,
    JOB_STATE,
    UPDATE_JOB_STATE_RESULT,
    Heartbeat,
    JobId,
    JobState,
    UpdateJobStateFail,
)

T = TypeVar("T")

#: Seconds in which a scheduler has to answer.
ANSWER_SECS = 20.0
#: Bytes that an answer may have.
ANSWER_BYTES = 1 << 16


class SchedulerLink(Protocol):
    """The scheduler, as a build server needs it."""

    async def heartbeat(self, heartbeat: Heartbeat) -> bool:
        """Say that this server lives; returns whether the scheduler took it for a new one.

        :raises PeerError: the scheduler did not take it.
        """

    async def job_state(self, job_id: JobId, state: JobState) -> None:
        """Say how far a job is.

        :raises PeerError: the scheduler did not take it.
        """


@attrs.frozen
class HttpSchedulerLink:
    """A scheduler behind its URL.

    :param url: without a slash at its end; what stands before the first path of the protocol.
    :param token: the server token.
    """

    _calls: Calls
    _url: str
    _token: str = attrs.field(repr=False)

    async def heartbeat(self, heartbeat: Heartbeat) -> bool:
        """Send a ``heartbeat_server``."""
        result = await self._post("heartbeat_server", encode(HEARTBEAT, heartbeat), HEARTBEAT_RESULT)
        return result.is_new

    async def job_state(self, job_id: JobId, state: JobState) -> None:
        """Send a ``job_state``."""
        result = await self._post(f"job_state/{job_id}", encode(JOB_STATE, state), UPDATE_JOB_STATE_RESULT)
        if isinstance(result, UpdateJobStateFail):
            raise PeerError(f"the scheduler refused a job's state: {result.msg}", status=200)

    async def _post(self, path: str, body: bytes, answer: Codec[T]) -> T:
        octets = await self._calls.post(
            f"{self._url}/api/v1/scheduler/{path}",
            body,
            token=self._token,
            timeout=ANSWER_SECS,
            limit=ANSWER_BYTES,
        )
        try:
            return decode(answer, octets)
        except DecodeError as error:
            raise PeerError(f"the scheduler answered what the protocol does not know: {error}") from error
