"""The phases of a connection, and when a peer is late with what it has to send or to take.

Pure: time is a number, and bytes are counted elsewhere. It knows nothing of sockets, of HTTP, or of what happens to a
late peer. A peer is late only while it is its turn: a client that waits for its compile is never late.
"""

from enum import Enum, auto

import attrs

from sccachedist.config import ConnectionLimits
from sccachedist.errors import BadTransition

#: Seconds for which the rest of a refused body is discarded before the connection is cut: otherwise, a client that is
#: still sending would meet a reset and lose the response.
LINGER_SECS = 10.0
#: Seconds after which a response that stays open is ended: who wants more of it asks again.
STREAM_SECS = 3600.0


# Theory of operation. Requests and responses alternate on a connection: a request that is sent ahead waits. At any time
# it is one side's turn, and only a peer whose turn it is can be late. A request that is refused while it arrives gets
# its response at once; what the peer still sends is discarded, until it has read the response or is late. The end of a
# connection is no phase: it may come in each. A response that stays open is ours to continue; its peer is late only
# while something has been sent that does not arrive.


class Phase(Enum):
    """Whose turn it is on a connection, and for what."""

    HANDSHAKE = auto()  # the peer's, to begin TLS
    IDLE = auto()  # the peer's, to send a request
    RECEIVING = auto()  # the peer's, to send the rest of its request
    WORKING = auto()  # ours, to answer
    STREAMING = auto()  # ours, to say more or to end; and the peer's, to take what has been said
    SENDING = auto()  # the peer's, to take our response, and to close the connection after the last
    REFUSED = auto()  # the peer's, to read its refusal


#: The phases that may follow each phase.
NEXT = {
    Phase.HANDSHAKE: {Phase.IDLE},
    Phase.IDLE: {Phase.RECEIVING},
    Phase.RECEIVING: {Phase.WORKING, Phase.SENDING, Phase.REFUSED},  # all has come; or it is refused
    Phase.WORKING: {Phase.SENDING, Phase.STREAMING},
    Phase.STREAMING: {Phase.SENDING},
    Phase.SENDING: {Phase.IDLE, Phase.REFUSED},  # the response is sent; it was a refusal, and the request still comes
    Phase.REFUSED: {Phase.SENDING},  # the rest has been discarded
}


@attrs.define
class Progress:
    """The phase of a connection, and what the peer has done in it.

    :param since: when the phase began, in seconds.
    :param moved: when the peer last sent or took something.
    :param octets: the bytes that it has sent or taken since the phase began.
    :param late: by how many seconds it was behind the least pace at the last look; negative if it was ahead.
    :param judged: when that look was, and the bytes until then.
    """

    phase: Phase
    since: float
    moved: float = attrs.field(init=False)
    octets: int = 0
    late: float = 0.0
    judged: tuple[float, int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.moved, self.judged = self.since, (self.since, 0)

    def enter(self, phase: Phase, now: float) -> None:
        """Begin a phase.

        :raises BadTransition: it cannot follow the current one.
        """
        if phase not in NEXT[self.phase]:
            raise BadTransition(f"a connection cannot go from {self.phase.name} to {phase.name}")
        self.phase, self.since, self.moved, self.octets = phase, now, now, 0
        self.late, self.judged = 0.0, (now, 0)

    def reach(self, octets: int | None, now: float) -> None:
        """Set how many bytes the peer has sent or taken since the phase began; None if the kernel does not tell."""
        if octets is None:
            self.moved, self.late, self.judged = now, 0.0, (now, self.octets)
        elif octets != self.octets:
            self.octets, self.moved = octets, now

    def rest(self, now: float) -> None:
        """Note that the peer has nothing to do: it has taken all that was sent."""
        self.moved = now


def overdue(progress: Progress, limits: ConnectionLimits, now: float) -> str | None:
    """The key, under ``[limits]``, of the limit that a late peer has hit; empty if it has none; None if not late."""
    elapsed = now - progress.since
    match progress.phase:
        case Phase.WORKING:
            return None
        case Phase.HANDSHAKE:
            return "handshake_secs" if elapsed >= limits.handshake_secs else None
        case Phase.IDLE:
            return "idle_secs" if elapsed >= limits.idle_secs else None
        case Phase.REFUSED:
            return "" if elapsed >= LINGER_SECS else None
    if now - progress.moved >= limits.idle_secs:
        return "idle_secs"
    if progress.phase is Phase.STREAMING:
        return None
    if _is_too_slow(progress, limits, now):
        return "min_bytes_per_sec"
    return "transfer_secs" if elapsed >= limits.transfer_secs else None


def _is_too_slow(progress: Progress, limits: ConnectionLimits, now: float) -> bool:
    """Whether a peer is too far behind the least pace. Bytes come and are acknowledged in lumps: some seconds are fine.

    A peer that was quick may rest, but not for long: its kernel takes megabytes of a response that no program reads.
    """
    if not limits.min_bytes_per_sec:
        return False
    since, octets = progress.judged
    late = progress.late + now - since - (progress.octets - octets) / limits.min_bytes_per_sec
    progress.late, progress.judged = max(late, -limits.idle_secs), (now, progress.octets)
    return late > limits.min_rate_after_secs
