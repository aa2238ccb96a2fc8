"""How fast build servers compile, compared with each other."""

from collections.abc import Iterable

from sccachedist.outcomes import SERVER_PHASES, Outcome, TimedPhase
from sccachedist.records.ring import Entry, entry_of
from sccachedist.records.speed import LEAST, MOST_OF_FARM, MOST_OF_SERVER, SpeedSums
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.messages import JobId

COMPILE = SERVER_PHASES.index(TimedPhase.COMPILE)


def compiled(
    server: str | None, secs: float, toolchain: str = "gcc", outcome: Outcome = Outcome.COMPILED, summary: bytes = b""
) -> Entry:
    phases = [10**9] * len(SERVER_PHASES)
    phases[COMPILE] = round(secs * 1e6)
    told = summary or packed(JobSummary(outcome, phases_us=tuple(phases)))
    return entry_of(JobId(1), 0.0, 1.0, None, server, toolchain, outcome, summary=told)


def speeds(*entries: Iterable[Entry]) -> dict[str, float]:
    sums = SpeedSums()
    for some in entries:
        for entry in some:
            sums.add(entry)
    return dict(sums.speeds())


def test_a_slow_one() -> None:
    """It is compared with what the farm usually takes, by the same toolchain; one slow file changes nothing."""
    usual = [[compiled(f"usual{number}", 2.0)] * LEAST for number in range(3)]
    slow, quick = [compiled("slow", 4.0)] * LEAST, [compiled("quick", 1.0)] * LEAST
    large = [compiled("usual0", 100.0)]
    assert speeds(*usual, slow, quick, large) == {
        "usual0": 1.0,
        "usual1": 1.0,
        "usual2": 1.0,
        "slow": 0.5,
        "quick": 2.0,
    }


def test_toolchains_differ() -> None:
    """One that compiles what takes long is not slow for that; a toolchain of one build server says nothing."""
    found = speeds(
        [compiled("a", 1.0)] * LEAST,
        [compiled("b", 1.0)] * LEAST,
        [compiled("b", 60.0, "rustc")] * 2 * LEAST,
        [compiled("c", 60.0, "clang")] * LEAST,
    )
    assert found == {"a": 1.0, "b": 1.0}


def test_what_says_nothing() -> None:
    """Few compiles, other ends than a compile, no times, and what is no summary."""
    assert speeds([compiled("a", 1.0)] * (LEAST - 1), [compiled("b", 1.0)] * LEAST) == {"b": 1.0}
    for entry in (
        compiled(None, 1.0),
        compiled("a", 1.0, ""),
        compiled("a", 1.0, outcome=Outcome.COMPILE_ERROR),
        compiled("a", 0.0),
        compiled("a", 1.0, summary=b"\xff"),
        entry_of(JobId(1), 0.0, 1.0, None, "a", "gcc", Outcome.COMPILED),
    ):
        assert speeds([entry] * LEAST, [compiled("b", 1.0)] * LEAST, [compiled("c", 1.0)] * LEAST).keys() == {"b", "c"}


def test_the_latest_count() -> None:
    """So many of one build server, and of the farm: the ring may have far more."""
    latest, before = [compiled("a", 1.0)] * MOST_OF_SERVER, [compiled("a", 9.0)] * 99
    others = [[compiled(f"other{number}", 1.0)] * MOST_OF_SERVER for number in range(30)]
    late = [compiled("late", 2.0)] * LEAST
    assert MOST_OF_SERVER * len(others) > MOST_OF_FARM
    found = speeds(latest, before, *others, late)
    assert (found["a"], found["late"]) == (1.0, 0.5)
