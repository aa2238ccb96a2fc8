"""How far a peer has come with what it has to send or to take, and whether it takes too long.

Time is a number here and bytes are counted elsewhere: nothing is known of sockets, of HTTP, or of what becomes of a
peer that is late. A peer is late only while it is its turn: nobody hurries a client that waits for its compile.
"""

from enum import Enum, auto

import attrs

from sccachedist.config import ConnectionLimits
from sccachedist.errors import BadTransition

#: Seconds for which the rest of a refused body is passed over before the connection is cut: a client that is still
#: sending would otherwise meet a reset and lose the answer.
LINGER_SECS = 10.0


# Theory of operation. One request follows another on a connection, and one answer the other: requests that are sent
# ahead wait. At any time it is one side's turn, and only a peer whose turn it is can be late. A request that is refused
# while it comes is answered at once; what its sender still sends is then passed over, until it has read the answer or
# is late. The end of a connection is no phase: it may come in each.


class Phase(Enum):
    """Whose turn it is on a connection, and for what."""

    HANDSHAKE = auto()  # the peer's, to begin TLS
    IDLE = auto()  # the peer's, to ask something
    RECEIVING = auto()  # the peer's, to send the rest of its request
    WORKING = auto()  # ours, to answer
    SENDING = auto()  # the peer's, to take our answer, and to close the connection if it is the last
    REFUSED = auto()  # the peer's, to read its refusal


#: The phases that may follow each phase.
NEXT = {
    Phase.HANDSHAKE: {Phase.IDLE},
    Phase.IDLE: {Phase.RECEIVING},
    Phase.RECEIVING: {Phase.WORKING, Phase.SENDING, Phase.REFUSED},  # all has come; or it is refused
    Phase.WORKING: {Phase.SENDING},
    Phase.SENDING: {Phase.IDLE, Phase.REFUSED},  # the answer is sent; it was a refusal, and the request still comes
    Phase.REFUSED: {Phase.SENDING},  # the rest has been passed over
}


@attrs.define
class Progress:
    """What a peer has done about the phase that its connection is in.

    :param since: when the phase began, in seconds.
    :param moved: when the peer sent or took something last.
    :param octets: the bytes that it has sent or taken since the phase began.
    :param late: by how many seconds it was late when it was looked at last, less than none where it was early;
        ``judged`` is when that was, and the bytes until then.
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

        :raises BadTransition: it cannot follow the one that the connection is in.
        """
        if phase not in NEXT[self.phase]:
            raise BadTransition(f"a connection cannot go from {self.phase.name} to {phase.name}")
        self.phase, self.since, self.moved, self.octets = phase, now, now, 0
        self.late, self.judged = 0.0, (now, 0)

    def reach(self, octets: int | None, now: float) -> None:
        """So many bytes have been sent or taken since the phase began; None where the system does not tell."""
        if octets is None:
            self.moved, self.late, self.judged = now, 0.0, (now, self.octets)
        elif octets != self.octets:
            self.octets, self.moved = octets, now


def overdue(progress: Progress, limits: ConnectionLimits, now: float) -> str | None:
    """The key, under ``[limits]``, of the limit that a peer has hit by being slow; empty where it has no key."""
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
    if _is_too_slow(progress, limits, now):
        return "min_bytes_per_sec"
    return "transfer_secs" if elapsed >= limits.transfer_secs else None


def _is_too_slow(progress: Progress, limits: ConnectionLimits, now: float) -> bool:
    """What comes in lumps may be late by some seconds; a peer's kernel takes and tells in lumps, too.

    Who was quick may rest, but not for long: a kernel takes megabytes of an answer that nobody reads.
    """
    if not limits.min_bytes_per_sec:
        return False
    since, octets = progress.judged
    late = progress.late + now - since - (progress.octets - octets) / limits.min_bytes_per_sec
    progress.late, progress.judged = max(late, -limits.idle_secs), (now, progress.octets)
    return late > limits.min_rate_after_secs
