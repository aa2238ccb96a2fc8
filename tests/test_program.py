"""Programs that start others end them, whichever way they are told to end."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from farmkit.launch import CHECKOUT

#: Says that it has begun, waits, and cleans up, as those do that have daemons.
_WAITS = """
import pathlib, signal, sys
from farmkit import program

def main():
    try:
        print("begun", flush=True)
        signal.pause()
    finally:
        pathlib.Path(sys.argv[1]).write_text("cleaned up")
    return 0

program.run(main)
"""


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end(tmp_path: Path, told: signal.Signals) -> None:
    """It cleans up, without a traceback, and its status says that it did not end by itself."""
    arguments = [sys.executable, "-c", _WAITS, str(tmp_path / "left")]
    with subprocess.Popen(arguments, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"begun\n"
        running.send_signal(told)
        _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (130, b"")
    assert (tmp_path / "left").read_text() == "cleaned up"


def test_its_status() -> None:
    """The status is what the main function returns."""
    ended = subprocess.run(
        [sys.executable, "-c", "from farmkit import program; program.run(lambda: 3)"], cwd=CHECKOUT, check=False
    )
    assert ended.returncode == 3
