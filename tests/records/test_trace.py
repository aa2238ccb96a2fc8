"""The Chrome trace: spans lie beside or inside of one another, and none is missing."""

from collections import defaultdict
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sccachedist.records.documents import JobRow
from sccachedist.records.trace import chrome_trace
from tests.records.rows import job_row, refused_row

SECS = st.floats(0, 100, allow_nan=False)
ROWS = st.lists(
    st.builds(
        lambda asked, took, wait, phases, server: job_row(
            asked=asked, ended=asked + took, server=server, phases={"queue_wait": wait, **phases}
        ),
        SECS,
        st.floats(-1, 20, allow_nan=False),
        st.sampled_from([0.0, 0.5, 3.0]),
        st.dictionaries(st.sampled_from(["assign", "client", "inputs_receive", "compile", "answer"]), SECS),
        st.sampled_from(["10.0.0.2:10501", "10.0.0.3:10501"]),
    ),
    max_size=12,
)


def events(rows: list[JobRow], kind: str) -> list[dict[str, Any]]:
    return [event for event in chrome_trace(rows)["traceEvents"] if event["ph"] == kind]


def test_a_job() -> None:
    """Where and when it ran, what it is called, and what its phases took."""
    job, *phases = events([job_row()], "X")
    assert (job["name"], job["ts"], job["dur"]) == ("obj/x.o", 1_000_000_000, 1_000_000)
    assert job["args"]["client"] == "10.0.0.1"
    assert "reason" not in job["args"]
    assert [(phase["name"], phase["dur"]) for phase in phases] == [
        ("assign", 100_000),
        ("client", 200_000),
        ("inputs_receive", 100_000),
        ("compile", 600_000),
    ]
    assert {event["args"]["name"] for event in events([job_row()], "M")} == {"queue", "10.0.0.2:10501"}


def test_a_wait() -> None:
    """Who waits is in the queue, and in no slot."""
    (wait,) = events([refused_row()], "X")
    assert (wait["pid"], wait["name"], wait["dur"]) == (1, "wait", 60_000_000)
    assert [event["args"] for event in events([refused_row()], "C")] == [{"waiting": 1}, {"waiting": 0}]


def test_what_is_not_known() -> None:
    """A published build server tells no name of a file."""
    told = [job_row(output=None), job_row(output=None, compiler=None, asked=2000.0, ended=2001.0)]
    assert [event["name"] for event in events(told, "X") if "client" in event["args"]] == ["gcc", "compiled"]
    assert chrome_trace([]) == {"traceEvents": [events([], "M")[0]], "displayTimeUnit": "ms"}


@given(ROWS)
def test_spans_nest(rows: list[JobRow]) -> None:
    """No two of a lane overlap, phases lie within their job, no duration is negative, and each job is there."""
    spans = events(rows, "X")
    jobs = [span for span in spans if span["pid"] > 1 and "client" in span["args"]]
    assert len(jobs) == len(rows)
    assert all(span["dur"] >= 0 for span in spans)
    lanes = defaultdict(list)
    for span in spans:
        if "client" in span["args"]:
            lanes[span["pid"], span["tid"]].append(span)
    for lane in lanes.values():
        assert all(first["ts"] + first["dur"] <= second["ts"] for first, second in pairwise(lane))
    inside = [span for span in spans if "client" not in span["args"]]
    for phase in inside:
        assert any(
            job["ts"] <= phase["ts"] and phase["ts"] + phase["dur"] <= job["ts"] + job["dur"]
            for job in lanes[phase["pid"], phase["tid"]]
        )


@given(ROWS)
def test_counters_return(rows: list[JobRow]) -> None:
    """In the end no slot is taken and nobody waits, and never less than nobody."""
    for name in ("slots", "waiting"):
        values = [event["args"][name] for event in events(rows, "C") if event["name"] == name]
        assert all(value >= 0 for value in values)
        assert values[-1:] in ([], [0])
