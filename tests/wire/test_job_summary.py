"""The summary of a job as bytes: what is told arrives, and what a stranger tells does no harm."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.errors import DecodeError
from sccachedist.outcomes import SERVER_PHASES, Outcome, SentLocal, TimedPhase
from sccachedist.wire.job_summary import (
    MOST_BYTES,
    MOST_TEXT,
    JobSummary,
    compile_us,
    ending,
    names_of,
    packed,
    times_us,
    unpacked,
)

U64 = st.integers(0, 2**64 - 1)


def summaries() -> st.SearchStrategy[JobSummary]:
    """Any summary whose texts fit."""
    return st.builds(
        JobSummary,
        outcome=st.sampled_from(Outcome),
        reason=st.none() | st.sampled_from(SentLocal),
        kind=st.text(max_size=16),
        exit_code=st.none() | st.integers(0, 255),
        slot=st.integers(0, 65_535),
        prewarmed=st.booleans(),
        phases_us=st.tuples(*[st.integers(0, 2**32 - 1)] * len(SERVER_PHASES)),
        cpu_user_us=U64,
        cpu_system_us=U64,
        peak_memory_bytes=U64,
        input_bytes=U64,
        output_bytes=U64,
        uploaded_bytes=U64,
        output=st.text(max_size=50),
        compiler=st.text(max_size=16),
        detail=st.text(max_size=125),
    )


@given(summaries())
def test_what_is_told_arrives(summary: JobSummary) -> None:
    """A summary comes back from its bytes, and its ending and its names without reading the rest."""
    octets = packed(summary)
    assert len(octets) <= MOST_BYTES
    assert unpacked(octets) == summary
    assert ending(octets) == (summary.outcome, summary.reason)
    assert names_of(octets) == (summary.output, summary.compiler)
    ran = summary.phases_us[SERVER_PHASES.index(TimedPhase.COMPILE)]
    assert compile_us(octets) == ran
    first, last = map(SERVER_PHASES.index, (TimedPhase.TOOLCHAIN_UNPACK, TimedPhase.OUTPUTS))
    started = sum(summary.phases_us[first : last + 1])
    assert times_us(octets) == (ran, started, summary.cpu_user_us + summary.cpu_system_us)


@given(st.binary(max_size=MOST_BYTES + 10))
def test_any_bytes(octets: bytes) -> None:
    """What is no summary is a DecodeError and nothing else."""
    try:
        unpacked(octets)
    except DecodeError:
        return
    ending(octets)
    names_of(octets)
    compile_us(octets)


@pytest.mark.parametrize("read", [unpacked, ending])
@pytest.mark.parametrize("octets", [b"", b"\0" * 10, b"\xff" * 150, b"\0\xff" + b"\0" * 150, b"\0" * (MOST_BYTES + 1)])
def test_no_summary(read: object, octets: bytes) -> None:
    """Too short, too long, with words that are not known."""
    assert callable(read)
    with pytest.raises(DecodeError):
        read(octets)


@pytest.mark.parametrize("size", [0, 10, MOST_BYTES + 1])
def test_no_time(size: int) -> None:
    """Too short and too long, where the compile's time alone is read."""
    with pytest.raises(DecodeError):
        compile_us(bytes(size))


@pytest.mark.parametrize("size", [0, 10, MOST_BYTES + 1])
def test_no_names(size: int) -> None:
    """What is too short or too long has no names."""
    with pytest.raises(DecodeError):
        names_of(b"\0" * size)


def test_texts_beyond_the_end() -> None:
    """Lengths that name more than there is."""
    octets = packed(JobSummary(Outcome.COMPILED, detail="what was said"))
    with pytest.raises(DecodeError, match="shorter than its texts"):
        unpacked(octets[:-1])


def test_long_texts() -> None:
    """The name of a file keeps its end, all others their beginning; a phase that is too long is the longest."""
    said = JobSummary(
        Outcome.SENT_LOCAL,
        SentLocal.LIMIT,
        kind="k" * 100,
        output="a/" * 1000 + "é.o",
        compiler="c" * 1000,
        detail="é" * 1000,
        phases_us=(2**40,) * len(SERVER_PHASES),
    )
    read = unpacked(packed(said))
    assert len(packed(said)) <= MOST_BYTES
    assert read.kind == "k" * MOST_TEXT[0]
    assert read.output.endswith("a/é.o")
    assert read.detail == "é" * (MOST_TEXT[3] // 2)
    assert set(read.phases_us) == {2**32 - 1}
    assert attrs.evolve(read, detail="").detail == ""
