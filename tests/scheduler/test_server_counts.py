"""Build servers by their states and kinds, counted as they change."""

import pytest

from sccachedist.scheduler.build_server import BuildServer
from sccachedist.scheduler.kinds import ANYWHERE, Need
from sccachedist.scheduler.server_counts import ServerCounts, state_of
from sccachedist.wire.abilities import Abilities, GatewayFacts
from sccachedist.wire.extension import Availability, ServerReport
from sccachedist.wire.messages import JobId
from tests.scheduler.farms import A, B, C, heartbeat

ARM = 183


@pytest.mark.parametrize(
    ("unfit", "is_open", "slots", "is_avoided", "is_full", "state"),
    [
        ("a disk", False, 0, True, True, "unfit"),
        ("", False, 0, True, True, "draining"),
        ("", True, 0, True, True, "busy"),
        ("", True, 1, True, True, "avoided"),
        ("", True, 1, False, True, "full"),
        ("", True, 1, False, False, "open"),
    ],
)
def test_states(unfit: str, is_open: bool, slots: int, is_avoided: bool, is_full: bool, state: str) -> None:
    """What matters most is said."""
    assert state_of(unfit=unfit, is_open=is_open, slots=slots, is_avoided=is_avoided, is_full=is_full) == state


def test_counts() -> None:
    """A server counts once, as it is now, until it leaves."""
    counts, server = ServerCounts(), BuildServer(A, heartbeat(cpus=2), 0.0)
    counts.count(server, is_avoided=False)
    counts.count(server, is_avoided=False)
    assert (counts.states, counts.open_slots, counts.published) == ({"open": 1}, 3, 1)
    server.jobs = {JobId(1), JobId(2), JobId(3)}
    counts.count(server, is_avoided=False)
    assert (+counts.states, counts.open_slots) == ({"full": 1}, 3)
    gateway = Abilities(gateway=GatewayFacts(3, 24))
    server.report = ServerReport(1, 5, Availability.DRAINING, (), (), abilities=gateway)
    counts.count(server, is_avoided=False)
    assert (+counts.states, counts.open_slots, counts.published, counts.workers) == ({"draining": 1}, 0, 0, 3)
    counts.leave(A)
    assert (+counts.states, counts.open_slots, counts.published, counts.workers) == ({}, 0, 0, 0)


def test_a_heartbeat_with_another_certificate() -> None:
    """It is known from the last one, so that it is checked."""
    server = BuildServer(A, heartbeat(), 0.0)
    assert server.has_certificate_of(heartbeat(cpus=9, nonce=7))
    assert not server.has_certificate_of(heartbeat(certificate=b"another"))


def test_who_takes_jobs() -> None:
    """Servers that suit and are open; those that were tried, or are avoided, are not better."""
    counts, first, second = ServerCounts(), BuildServer(A, heartbeat(), 0.0), BuildServer(B, heartbeat(), 0.0)
    assert not counts.has_taker(ANYWHERE)
    second.report = ServerReport(1, 5, Availability.OPEN, (), (), abilities=Abilities(machines=(ARM,)))
    counts.count(first, is_avoided=True)
    assert (counts.has_taker(ANYWHERE), counts.has_better_than((), ANYWHERE)) == (True, False)
    counts.count(first, is_avoided=False)
    counts.count(second, is_avoided=False)
    on_arm, on_x86 = Need(ARM), Need(62)
    assert [counts.has_better_than(tried, ANYWHERE) for tried in ((), (A,), (A, A, C), (B, A))] == [True] * 3 + [False]
    assert [counts.has_better_than((A,), need) for need in (on_arm, on_x86)] == [True, False]
    assert [counts.has_better_than((B,), need) for need in (on_arm, on_x86)] == [True, True]
    counts.leave(A)
    assert (counts.has_taker(on_arm), counts.has_taker(on_x86)) == (True, False)
