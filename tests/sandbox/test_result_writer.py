"""Answers where something else was, and on disks that do not take them."""

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from sccachedist.errors import BuildError, DiskError
from sccachedist.outcomes import SentLocal
from sccachedist.sandbox.result.result_writer import write_result
from sccachedist.wire.messages import ProcessOutput
from tests.support.broken_disks import NUMBERS, failing

OUTPUT = ProcessOutput(0, b"", b"")


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("before", [b"", b"x", b"x" * 10_000])
def test_in_the_place_of_the_inputs(tmp_path: Path, before: bytes, as_json: bool) -> None:
    """Nothing of what was there is in the answer."""
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_bytes(before)
    for path in (new, old):
        assert write_result(path, OUTPUT, [("/a", [b"1", b"2"]), ("/b", []), ("/c", [b"3"])], as_json=as_json) == 3
    assert old.read_bytes() == new.read_bytes()


@pytest.mark.parametrize("number", NUMBERS)
def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The error names the directory."""
    monkeypatch.setattr(Path, "open", failing(number))
    with pytest.raises(DiskError, match=f"{tmp_path}: {os.strerror(number)}"):
        write_result(tmp_path / "answer", OUTPUT, (), as_json=False)


def _unreadable() -> Iterator[bytes]:
    yield b"x"
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _unopened() -> Iterator[tuple[str, Iterator[bytes]]]:
    yield "/a", iter((b"x",))
    raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))


@pytest.mark.parametrize("files", [[("/a", _unreadable())], _unopened()])
def test_an_output_that_cannot_be_read(tmp_path: Path, files: Iterable[tuple[str, Iterator[bytes]]]) -> None:
    """That is the compile's own doing: no disk of the host is said to fail, which would close it for all others."""
    with pytest.raises(BuildError, match="an output cannot be read") as error:
        write_result(tmp_path / "answer", OUTPUT, files, as_json=False)
    assert error.value.sent_local is SentLocal.NO_OUTPUT


def test_a_disk_that_is_full() -> None:
    """Found out at the latest when the file is closed."""
    with pytest.raises(DiskError, match="/dev: No space left on device"):
        write_result(Path("/dev/full"), OUTPUT, [("/x", [b"x"])], as_json=False)
