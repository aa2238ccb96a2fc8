"""Files of records: what is in them, and what becomes of files that are none."""

import gzip
import json
from pathlib import Path

import pytest

from sccachedist.cli.farm.record_files import RecordFile, job_of, jobs_of, why_of
from sccachedist.errors import ConfigError, PeerError
from tests.records.rows import job_row, refused_row


def test_rows(tmp_path: Path) -> None:
    """Each line is a record or is counted, whatever is in it."""
    bad = [b"", b"null", b"[" * 100_000, b"\xff\xfe", b'{"v": 1}', json.dumps(job_row(ended="soon")).encode()]
    file = tmp_path / "jobs.jsonl"
    file.write_bytes(b"\n".join([*bad, json.dumps(job_row()).encode()]))
    records = RecordFile(file)
    assert list(records.rows()) == [job_row()]
    assert records.passed_over == len(bad)
    assert list(records.rows()) == [job_row()]
    assert records.passed_over == len(bad)


def test_a_line_without_end(tmp_path: Path) -> None:
    """It is read in pieces that are no records."""
    file = tmp_path / "jobs.jsonl"
    file.write_bytes(b"1" * (3 << 20))
    records = RecordFile(file)
    assert list(records.rows()) == []
    assert records.passed_over == 3


@pytest.mark.parametrize(
    "content",
    [None, gzip.compress(b"{}\n" * 1000)[:-9], b"\x1f\x8bgarbage"],
    ids=["missing", "cut_off", "no_gzip"],
)
def test_unreadable(tmp_path: Path, content: bytes | None) -> None:
    """One line with the name of the file."""
    file = tmp_path / "jobs.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^{file}: cannot be read: [^\n]+$"):
        list(RecordFile(file).rows())


def test_jobs() -> None:
    """The latest, the latest first."""
    rows = [job_row(id=str(number), ended=1000.0 + number) for number in (3, 1, 2)]
    assert [row["id"] for row in jobs_of(rows, 2)["jobs"]] == ["3", "2"]
    assert jobs_of([], 2)["since"] == 0.0


def test_job() -> None:
    """A unique end of the number is enough."""
    rows = [job_row(id="18"), job_row(id="28"), refused_row(), job_row(id="28")]
    assert job_of(rows, "18", Path("f"))["job"] == job_row(id="18")
    assert job_of(rows, "28", Path("f"))["job"] == job_row(id="28")
    with pytest.raises(PeerError, match="f: 2 jobs end in 8: give more digits"):
        job_of(rows, "8", Path("f"))
    with pytest.raises(PeerError, match="f: no job ends in 9"):
        job_of(rows, "9", Path("f"))


def test_why() -> None:
    """The compiles of the file, and how their clients were refused or lost their build server, others not."""
    rows = [
        job_row(output="a/x.o"),
        job_row(output="y.o"),
        refused_row(ended=1060.0),
        refused_row(ended=1100.0, detail="later"),
        refused_row(reason=None),
        refused_row(client="10.0.0.9"),
        job_row(outcome="server_lost", output=None),
    ]
    answer = why_of(lambda: rows, 0.0, "x.o")
    assert answer["jobs"] == rows[:1]
    count, lost = answer["refusals"]
    assert (lost["reason"], lost["count"]) == ("server_lost", 1)
    assert (count["reason"], count["count"], count["first"], count["last"]) == ("queue_timeout", 2, 1060.0, 1100.0)
    assert why_of(lambda: rows, 0.0, "z.o") == {"v": 1, "since": 0.0, "jobs": [], "refusals": []}


def test_records_of_an_earlier_release(tmp_path: Path) -> None:
    """What it did not know is not known of them."""
    earlier = {key: value for key, value in job_row().items() if key not in ("scheduler", "term")}
    file = tmp_path / "jobs.jsonl"
    file.write_text(f"{json.dumps(earlier)}\n{json.dumps(job_row(scheduler='http://a', term=7))}\n")
    rows = list(RecordFile(file).rows())
    assert [(row["scheduler"], row["term"]) for row in rows] == [(None, None), ("http://a", 7)]
