"""When a peer is late: only while it is its turn, and by the limit that it has hit."""

import pytest

from sccachedist.config import ConnectionLimits
from sccachedist.errors import BadTransition
from sccachedist.web.deadlines import LINGER_SECS, Phase, Progress, overdue

LIMITS = ConnectionLimits(
    handshake_secs=20, idle_secs=60, min_bytes_per_sec=1000, min_rate_after_secs=30, transfer_secs=1200
)


def hit_at(phase: Phase, octets_per_sec: float) -> tuple[int, str] | None:
    """The first second at which a peer that sends or takes so much is late, and by which limit."""
    progress = Progress(phase, since=5.0)
    for second in range(3000):
        progress.reach(int(second * octets_per_sec), 5.0 + second)
        if (limit := overdue(progress, LIMITS, 5.0 + second)) is not None:
            return second, limit
    return None


@pytest.mark.parametrize(
    ("phase", "octets_per_sec", "expected"),
    [
        (Phase.HANDSHAKE, 0, (20, "handshake_secs")),
        (Phase.HANDSHAKE, 1e6, (20, "handshake_secs")),
        (Phase.IDLE, 0, (60, "idle_secs")),
        (Phase.RECEIVING, 1, (31, "min_bytes_per_sec")),
        (Phase.RECEIVING, 500, (61, "min_bytes_per_sec")),
        (Phase.RECEIVING, 1000, (1200, "transfer_secs")),
        (Phase.RECEIVING, 1e6, (1200, "transfer_secs")),
        (Phase.SENDING, 1, (31, "min_bytes_per_sec")),
        (Phase.SENDING, 1000, (1200, "transfer_secs")),
        (Phase.REFUSED, 0, (int(LINGER_SECS), "")),
        (Phase.WORKING, 0, None),
        (Phase.STREAMING, 0, (60, "idle_secs")),
        (Phase.STREAMING, 1, None),
    ],
)
def test_late(phase: Phase, octets_per_sec: float, expected: tuple[int, str] | None) -> None:
    """A peer is given up at its deadline; a client that waits for its compile has none."""
    assert hit_at(phase, octets_per_sec) == expected


def test_stalled() -> None:
    """Who has sent much in the beginning and then nothing more is given up as well."""
    progress = Progress(Phase.RECEIVING, since=0.0)
    progress.reach(10**9, 1.0)
    assert overdue(progress, LIMITS, 60.9) is None
    assert overdue(progress, LIMITS, 61.0) == "idle_secs"


def test_rest_of_a_stream() -> None:
    """The reader of a stream that has nothing to say is not late; it is when something stands still on its way."""
    progress = Progress(Phase.WORKING, since=0.0)
    progress.enter(Phase.STREAMING, 1.0)
    for second in range(1, 3000):
        progress.rest(float(second))
        assert overdue(progress, LIMITS, float(second)) is None
    progress.reach(0, 3000.0)
    assert overdue(progress, LIMITS, 3058.9) is None
    assert overdue(progress, LIMITS, 3059.0) == "idle_secs"


def test_another_turn() -> None:
    """What was done for one phase does not count for the next."""
    progress = Progress(Phase.RECEIVING, since=0.0)
    progress.reach(10**9, 1.0)
    progress.enter(Phase.WORKING, 1.5)
    progress.enter(Phase.SENDING, 2.0)
    assert overdue(progress, LIMITS, 32.0) is None
    assert overdue(progress, LIMITS, 33.0) == "min_bytes_per_sec"


def test_out_of_turn() -> None:
    """A phase that cannot follow is an error, and the connection stays in the one that it is in."""
    progress = Progress(Phase.WORKING, since=0.0)
    with pytest.raises(BadTransition, match="from WORKING to IDLE"):
        progress.enter(Phase.IDLE, 1.0)
    assert (progress.phase, progress.since) == (Phase.WORKING, 0.0)


def test_no_rate() -> None:
    """Where no rate is asked for, time alone counts."""
    progress = Progress(Phase.SENDING, since=0.0)
    progress.reach(1, 1150.0)
    assert overdue(progress, ConnectionLimits(min_bytes_per_sec=0), 1199.0) is None


def test_a_burst() -> None:
    """What was taken at once, by a kernel for somebody who does not read, does not count for long."""
    progress = Progress(Phase.SENDING, since=0.0)
    late = []
    for second in range(1, 200):
        progress.reach(10**7 + second, float(second))
        late.append(overdue(progress, LIMITS, float(second)))
    assert late.index("min_bytes_per_sec") == 91


def test_a_system_that_does_not_tell() -> None:
    """Where the system does not tell what a peer has taken, only the time limit for all holds."""
    progress = Progress(Phase.SENDING, since=0.0)
    for second in range(1200):
        progress.reach(None, float(second))
        assert overdue(progress, LIMITS, float(second)) is None
    assert overdue(progress, LIMITS, 1200.0) == "transfer_secs"
