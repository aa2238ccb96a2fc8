"""The file of records: whole lines, also on a full disk and while others rename the file."""

import fcntl
import gzip
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from sccachedist.errors import DiskError
from sccachedist.outcomes import Outcome
from sccachedist.records.documents import JobRow
from sccachedist.records.lines import LineFile, line_of
from sccachedist.records.ring import Entry, entry_of, record_of
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.messages import JobId
from tests.support.documents import check


def job(number: int, output: str = "a.o") -> Entry:
    summary = packed(JobSummary(Outcome.COMPILED, output=output))
    server, client = "10.0.0.2:1", "10.0.0.1"
    return entry_of(JobId(number), 1.0, 2.0, client, server, "ab" * 32, Outcome.COMPILED, summary=summary)


@attrs.define
class Lines:
    """A file of lines, and those that were put aside."""

    path: Path
    file: LineFile

    def ids(self, number: int | None = None) -> list[str]:
        path = self.path if number is None else self.path.with_name(f"{self.path.name}.{number}.gz")
        text = path.read_text() if number is None else gzip.decompress(path.read_bytes()).decode()
        return [json.loads(line)["id"] for line in text.splitlines()]


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    path = tmp_path / "jobs.jsonl"
    return Lines(path, LineFile(path, rotate_bytes=2 * len(line_of(job(1))) + 99, keep_files=2))


def test_a_line() -> None:
    """It is the record as the API gives it, in ASCII, whatever a file is called."""
    line = line_of(job(1, "\x1b[31m\u202e\n.o"))
    assert line.isascii()
    assert (line.count(b"\n"), line[-1:]) == (1, b"\n")
    row: Any = json.loads(line)
    check(row, JobRow, "JobRow")
    assert row == record_of(job(1, "\x1b[31m\u202e\n.o")).to_json()


def test_appended(lines: Lines) -> None:
    """Records are added to those that are there, and others but the group may not read them."""
    lines.file.write([line_of(job(1))])
    lines.file.write([line_of(job(2))])
    assert lines.ids() == ["1", "2"]
    assert lines.path.stat().st_mode & 0o007 == 0


def test_rotated(lines: Lines) -> None:
    """A file that is large enough is packed and put aside; the oldest ones go."""
    for number in range(1, 13):
        lines.file.write([line_of(job(number))])
    assert (lines.ids(1), lines.ids(2)) == (["10", "11", "12"], ["7", "8", "9"])
    assert {path.name for path in lines.path.parent.iterdir()} == {"jobs.jsonl.1.gz", "jobs.jsonl.2.gz"}
    lines.file.write([line_of(job(13))])
    assert lines.ids() == ["13"]


def test_an_end_while_it_packs(lines: Lines) -> None:
    """What a process had not packed when it ended is packed later, and nothing is lost."""
    beside = lines.path.with_name
    beside("jobs.jsonl.packing").write_bytes(b"".join(line_of(job(number)) for number in (1, 2, 3)))
    beside("jobs.jsonl.1.gz").write_bytes(b"half of them")
    for number in range(4, 8):
        lines.file.write([line_of(job(number))])
    assert (lines.ids(1), lines.ids(2)) == (["4", "5", "6", "7"], ["1", "2", "3"])
    assert not beside("jobs.jsonl.packing").exists()


@pytest.mark.parametrize("moves", [Path.unlink, lambda path: path.rename(path.with_suffix(".old"))])
def test_moved_by_others(lines: Lines, moves: Any) -> None:
    """What others rename or remove is made again, at once."""
    lines.file.write([line_of(job(1))])
    moves(lines.path)
    lines.file.write([line_of(job(2))])
    assert lines.ids() == ["2"]


def test_truncated_by_others(lines: Lines) -> None:
    """What others empty goes on from its beginning."""
    lines.file.write([line_of(job(1))])
    os.truncate(lines.path, 0)
    lines.file.close()
    lines.file.write([line_of(job(2))])
    assert lines.ids() == ["2"]


def test_no_directory(lines: Lines) -> None:
    """A directory that is not there is a DiskError, and is no matter as soon as it is there."""
    file = LineFile(lines.path.parent / "sub" / "jobs.jsonl", 2000, 2)
    with pytest.raises(DiskError, match=r"jobs\.jsonl"):
        file.write([line_of(job(1))])
    (lines.path.parent / "sub").mkdir()
    file.write([line_of(job(2))])
    assert (lines.path.parent / "sub" / "jobs.jsonl").read_text().count("\n") == 1


@pytest.fixture
def no_files(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """What may have the name of the file, and is none; one pipe has a reader that never reads."""
    unread, held = tmp_path / "unread", tmp_path / "held"
    os.mkfifo(unread)
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    yield {"pipe": unread, "held pipe": held, "device": Path("/dev/null"), "directory": tmp_path}
    os.close(reader)


@pytest.mark.parametrize("kind", ["pipe", "held pipe", "device", "directory"])
def test_no_file(no_files: Mapping[str, Path], kind: str) -> None:
    """What is no file is a DiskError at once: no write waits for somebody who reads."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(DiskError, match=str(no_files[kind])):
        LineFile(no_files[kind], 2000, 2).write([line_of(job(1))])
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_of_another_daemon(lines: Lines) -> None:
    """It takes no records of this one until that is over, by whichever name, and the first one goes on."""
    lines.file.write([line_of(job(1))])
    (other := lines.path.with_name("other")).symlink_to(lines.path)
    second = LineFile(other, 2000, 2)
    with pytest.raises(DiskError, match="other: another daemon writes its records there"):
        second.write([line_of(job(2))])
    lines.file.write([line_of(job(3))])
    lines.file.close()
    second.write([line_of(job(4))])
    assert lines.ids() == ["1", "3", "4"]


def test_a_disk_without_locks(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are written all the same."""

    def refused(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    lines.file.write([line_of(job(1))])
    assert lines.ids() == ["1"]


def test_full_disk(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes none of it is a DiskError."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskError, match="No space left"):
        lines.file.write([line_of(job(1))])


def test_no_half_of_a_line(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a disk took of a line that it did not take whole is taken back."""
    lines.file.write([line_of(job(1))])
    write, taken = os.write, iter([10])

    def some(descriptor: int, data: bytes) -> int:
        for size in taken:
            return write(descriptor, data[:size])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", some)
        with pytest.raises(DiskError):
            lines.file.write([line_of(job(2))])
    lines.file.write([line_of(job(3))])
    assert lines.ids() == ["1", "3"]
