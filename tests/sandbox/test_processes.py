"""Programs that are run to their ends."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sccachedist.errors import BuildError, DecodeError, LimitExceeded
from sccachedist.sandbox.processes import Ended, call, called


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def test_all_that_it_writes() -> None:
    """From stdin to both outputs, more than any pipe holds."""
    pieces = [b"x" * 100_000] * 10
    written = Ended(0, b"1000000\n" + b"y\n" * 150_000, b"y\n" * 150_000)
    assert call(sh("wc -c; yes | head -c 300000; yes | head -c 300000 >&2"), "", pieces) == written


@pytest.mark.parametrize(("script", "exit_code"), [("exit 3", 3), ("kill -9 $$", 137), ("kill -11 $$", 139)])
def test_how_it_ends(script: str, exit_code: int) -> None:
    """As a shell shows it."""
    assert call(sh(script), "").exit_code == exit_code


def test_one_that_does_not_read() -> None:
    """It is its own affair."""
    assert call(sh("exit 0"), "", [b"x" * 1_000_000]).exit_code == 0


def test_it_gets_an_end_to_read() -> None:
    """Nothing waits for a stdin that is never closed."""
    assert call(sh("cat"), "").stdout == b""


def test_too_much() -> None:
    """A program that writes without end is killed."""
    with pytest.raises(LimitExceeded, match="stdio_bytes"):
        call(sh("yes"), "", stdio_bytes=10_000)


def test_an_input_that_breaks_off(tmp_path: Path) -> None:
    """What was to be read is not taken for whole."""

    def pieces() -> Iterator[bytes]:
        yield b"begin"
        raise DecodeError("damaged")

    with pytest.raises(DecodeError):
        call(sh(f"cat >/dev/null; touch {tmp_path}/whole"), "", pieces())
    assert list(tmp_path.iterdir()) == []


def test_one_that_has_to_succeed() -> None:
    """Its words are in the error, wherever it writes them."""
    assert called(sh("echo out"), "") == b"out\n"
    for script in ("echo wrong >&2; exit 1", "echo wrong; exit 1"):
        with pytest.raises(BuildError, match="/bin/sh -c failed: wrong"):
            called(sh(script), "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["/no/such"], "there is no /no/such: get one"),
        (["/"], "cannot run /"),
        ([sys.executable, "x" * 3_000_000], "cannot run"),
        (["a\0b"], "cannot run"),
    ],
)
def test_one_that_cannot_be_started(arguments: list[str], complaint: str) -> None:
    """It is the host's fault, or the job's."""
    with pytest.raises(BuildError, match=complaint):
        call(arguments, "get one")


def test_one_that_is_watched() -> None:
    """What looks after a program may end it."""

    def watch() -> None:
        raise LimitExceeded("scratch_bytes", "it writes too much")

    with pytest.raises(LimitExceeded, match="scratch_bytes"):
        call(sh("exec sleep 1006"), "", watch=watch)
