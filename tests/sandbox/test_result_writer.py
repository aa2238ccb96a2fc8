"""Answers where something else was, and on disks that do not take them."""

import os
from pathlib import Path

import pytest

from sccachedist.errors import DiskError
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


def test_a_disk_that_is_full() -> None:
    """Found out at the latest when the file is closed."""
    with pytest.raises(DiskError, match="/dev: No space left on device"):
        write_result(Path("/dev/full"), OUTPUT, [("/x", [b"x"])], as_json=False)
