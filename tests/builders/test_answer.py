"""Answers on disks that do not take them."""

import os
from pathlib import Path

import pytest

from sccachedist.builders.answer import write_answer
from sccachedist.errors import DiskError
from sccachedist.wire.messages import ProcessOutput
from tests.support.broken_disks import NUMBERS, failing

OUTPUT = ProcessOutput(0, b"", b"")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The error names the directory."""
    monkeypatch.setattr(Path, "open", failing(number))
    with pytest.raises(DiskError, match=f"{tmp_path}: {os.strerror(number)}"):
        write_answer(tmp_path / "answer", OUTPUT, (), as_json=False)


def test_a_disk_that_is_full() -> None:
    """Found out at the latest when the file is closed."""
    with pytest.raises(DiskError, match="/dev: No space left on device"):
        write_answer(Path("/dev/full"), OUTPUT, [("/x", [b"x"])], as_json=False)
