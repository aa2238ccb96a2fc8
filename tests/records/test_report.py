"""What a build was like: sums that hold for any records, and the few that are easiest to see on an example."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.records.documents import JobRow
from sccachedist.records.lanes import in_lanes, job_of
from sccachedist.records.report import MOST_SLOW, MOST_STILL, PARTS, BuildReport, report_of
from tests.records.rows import job_row, refused_row

SECS = st.floats(0, 100, allow_nan=False)
ROWS = st.lists(
    st.builds(
        lambda asked, took, wait, server, outcome: job_row(
            asked=asked, ended=asked + took, server=server, phases={"queue_wait": wait}, outcome=outcome
        ),
        SECS,
        st.floats(-1, 20, allow_nan=False),
        st.sampled_from([-1.0, 0.0, 0.5, 3.0]),
        st.sampled_from(["10.0.0.2:10501", "10.0.0.3:10501", None]),
        st.sampled_from(["compiled", "sent_local", "server_lost", "of a newer version"]),
    ),
    max_size=12,
)


def at(asked: float, ended: float, **changed: object) -> JobRow:
    return job_row(asked=asked, ended=ended, phases={}, **changed)


@given(ROWS)
def test_sums(rows: list[JobRow]) -> None:
    """Each job is drawn once, and what is drawn over time has the same area as all jobs together."""
    report = report_of(rows)
    jobs = [span for row in rows if (span := job_of(row)) is not None]
    drawn = [span for server in report.servers for lane in server.lanes for span in lane]
    assert sorted(map(id, (span.row for span in drawn))) == sorted(map(id, (span.row for span in jobs)))
    assert sum(report.outcomes.values()) == len(report.rows) == len(rows)
    assert sum(report.slots) * report.secs / PARTS == pytest.approx(sum(job.end - job.begin for job in jobs) / 1e6)
    assert max(report.slots) <= report.most_slots + 1e-6
    assert 0 <= report.idle_secs + report.alone_secs <= report.secs + 1e-6
    assert sum(len(group.rows) for group in report.home) == sum(
        row["outcome"] in ("sent_local", "server_lost") for row in rows
    )


@given(ROWS)
def test_time(rows: list[JobRow]) -> None:
    """Nothing is outside of it; the times with less than two jobs are those that the lanes say."""
    report = report_of(rows)
    jobs = [span for row in rows if (span := job_of(row)) is not None]
    assert all(report.begin <= job.begin <= job.end <= report.end for job in jobs)
    assert all(0 <= still.begin <= still.end for still in report.still)
    for still in report.still:
        middle = (still.begin + still.end) / 2
        assert [job.row for job in jobs if job.begin < middle < job.end] == ([still.row] if still.row else [])
    if all(lane == 1 for lane, _ in in_lanes(jobs)):
        assert report.idle_secs + report.alone_secs == pytest.approx(report.secs)


def test_where_it_stood_still() -> None:
    """Two run together; then one is alone, then none is there, and the last one begins."""
    first, second, last = at(0, 10, output="a.o"), at(0, 4, output="b.o"), at(15, 18, output="c.o")
    report = report_of([last, first, second])
    told = [(each.begin / 1e6, each.end / 1e6, each.row and each.row["output"]) for each in report.still]
    assert told == [(4, 10, "a.o"), (10, 15, None), (15, 18, "c.o")]
    assert (report.idle_secs, report.alone_secs, report.most_slots, report.secs) == (5, 9, 2, 18)
    assert report.slots[0] == pytest.approx(2)
    assert report.slots[-1] == pytest.approx(1)


def test_short_moments_are_not_listed() -> None:
    """Between any two jobs there is a moment; they count, and only the longest stand there."""
    rows = [at(place * 2, place * 2 + 1.95) for place in range(40)]
    report = report_of(rows)
    assert report.idle_secs == pytest.approx(39 * 0.05)
    assert len(report.still) == MOST_STILL
    assert all(each.row is not None for each in report.still)


def test_waits() -> None:
    """Who waits is drawn as that, and holds no slot; one that got none never held one."""
    report = report_of([refused_row(), job_row(asked=1000, ended=1060, phases={"queue_wait": 30.0})])
    assert report.waiting[0] == pytest.approx(2)
    assert report.waiting[-1] == pytest.approx(1)
    assert [report.slots[0], report.slots[-1]] == pytest.approx([0, 1])
    assert [used["name"] for used in report.by_server] == ["10.0.0.2:10501"]


def test_what_went_home() -> None:
    """By outcome, reason and kind, the most frequent first; the latest of each comes first."""
    disk = [at(place, place + 1, outcome="sent_local", reason="disk") for place in range(3)]
    others = [refused_row(), at(0, 1, outcome="server_lost"), at(0, 1, outcome="compile_error")]
    others.append(at(0, 1, outcome="sent_local", reason="suspicious", kind="verify"))
    groups = report_of([*others, *disk]).home
    assert [(group.outcome, group.reason, group.kind, len(group.rows)) for group in groups] == [
        ("sent_local", "disk", None, 3),
        ("server_lost", None, None, 1),
        ("sent_local", "suspicious", "verify", 1),
        ("refused", "queue_timeout", None, 1),
    ]
    assert [row["asked"] for row in groups[0].rows] == [2, 1, 0]


def test_the_slowest() -> None:
    """From the request to its end; a clock that was set back makes nothing slow."""
    rows = [at(0, place) for place in range(MOST_SLOW + 10)]
    slowest = report_of([*rows, at(100, 0)]).slowest
    assert [row["ended"] for row in slowest] == list(range(MOST_SLOW + 9, 9, -1))


def test_phases() -> None:
    """Seconds of all jobs together, in the order of the phases; a word of a newer version is left out."""
    rows = [job_row(phases={"compile": 2.0, "queue_wait": 1.0, "answer": 0.0, "dreams": 7.0}) for _ in range(2)]
    assert report_of(rows).phases == {"queue_wait": 2.0, "compile": 4.0}


def test_nothing() -> None:
    """Of no records there is a report as well."""
    assert report_of([]) == BuildReport(
        rows=[], begin=0, end=0, outcomes={}, phases={}, slots=[0.0] * PARTS, waiting=[0.0] * PARTS, most_slots=0,
        idle_secs=0, alone_secs=0, still=[], servers=[], slowest=[], home=[], by_client=[], by_server=[], led_by={},
    )  # fmt: skip


def test_who_led() -> None:
    """How many requests ended under which scheduler, its terms in their order; what has no word of it is left out."""
    rows = [
        *(job_row(scheduler="b", term=1) for _ in range(2)),
        *(job_row(scheduler="a", term=term) for term in (2, 1, 2)),
        job_row(),
        job_row(scheduler="a"),
    ]
    assert list(report_of(rows).led_by.items()) == [(("a", 1), 1), (("b", 1), 2), (("a", 2), 2)]
