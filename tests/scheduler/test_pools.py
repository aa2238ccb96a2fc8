"""Build servers by their kind, as many as there are."""

from sccachedist.scheduler.kinds import ANYWHERE, PLAIN, Need, ServerKind
from sccachedist.scheduler.pools import Pools, first_ranked
from sccachedist.wire.addresses import ServerId
from tests.scheduler.farms import A, B, C

ON_X86, ON_ARM = ServerKind(frozenset({62})), ServerKind(frozenset({183}))


def first(pools: Pools, need: Need, *tried: ServerId) -> ServerId | None:
    found = first_ranked(pools.suiting(need), tried)
    return None if found is None else found[2]


def test_first_ranked() -> None:
    """The least loaded of all that suit, none that was tried; of equals, the one that was ranked first."""
    pools = Pools()
    for server, kind, load in ((A, ON_X86, 1.0), (B, ON_ARM, 0.5), (C, ON_X86, 1.0)):
        pools.rank(server, kind, load)
    assert [first(pools, ANYWHERE, *tried) for tried in ((), (B,), (B, A), (A, B, C))] == [B, A, C, None]
    assert first(pools, Need(62)) == A
    pools.rank(A, ON_X86, 1.0)
    assert first(pools, Need(62)) == A  # it keeps its place
    pools.rank(A, ON_X86, 2.0)
    pools.rank(A, ON_X86, 1.0)
    assert first(pools, Need(62)) == C
    pools.rank(C, ON_X86, None)
    assert first(pools, Need(62)) == A
    assert first(pools, Need(183), B) is None


def test_kinds_come_and_go() -> None:
    """A kind that no server has any more is forgotten, however often servers change theirs."""
    pools = Pools()
    for number in range(10_000):
        pools.rank(A, ServerKind(labels=frozenset({f"label-{number}"})), 0.0)
    assert len(pools.suiting(ANYWHERE)) == 1
    pools.leave(A)
    pools.leave(A)
    assert list(pools.suiting(ANYWHERE)) == []
    assert first(pools, ANYWHERE) is None


def test_mixed() -> None:
    """Servers with other labels are of the same machine, and those that do not tell are of none."""
    pools = Pools()
    pools.rank(A, ON_X86, 0.0)
    assert not pools.is_mixed
    pools.rank(B, PLAIN, 0.0)
    pools.rank(C, ServerKind(ON_X86.machines, frozenset({"fast"})), None)
    assert not pools.is_mixed
    pools.rank(B, ON_ARM, 0.0)
    assert pools.is_mixed
    assert [pool.kind.machines for pool in pools.commonest(pools.suiting(ANYWHERE))] == [ON_X86.machines] * 2
