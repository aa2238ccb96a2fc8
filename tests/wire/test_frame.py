"""The body of ``run_job`` in pieces."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.wire.bincode import encode
from sccachedist.wire.frame import FrameHead, frame
from sccachedist.wire.messages import RUN_JOB_REQUEST, CompileCommand, RunJobRequest

REQUEST = RunJobRequest(CompileCommand("/bin/cc", ("-c", "x.c"), (("A", "b"),), "/w"), ("x.o",))
COMMAND_BYTES = len(encode(RUN_JOB_REQUEST, REQUEST))
INPUTS = b"zlib stream"
BODY = frame(REQUEST, INPUTS)


@pytest.mark.parametrize("split", range(len(BODY) + 1))
def test_any_split(split: int) -> None:
    """Wherever the network cuts a body in two, command and inputs are the same."""
    head = FrameHead(COMMAND_BYTES)
    inputs = head.feed(BODY[:split]) + head.feed(BODY[split:])
    assert (head.finish(), inputs) == (REQUEST, INPUTS)


def test_byte_by_byte() -> None:
    """A client that sends single bytes is understood too."""
    head = FrameHead(COMMAND_BYTES)
    inputs = b"".join(head.feed(bytes([byte])) for byte in BODY)
    assert (head.finish(), inputs) == (REQUEST, INPUTS)


@pytest.mark.parametrize("size", range(4 + COMMAND_BYTES))
def test_ends_early(size: int) -> None:
    """A body that ends before its command does is refused, and none of it passes for inputs."""
    head = FrameHead(COMMAND_BYTES)
    assert head.feed(BODY[:size]) == b""
    with pytest.raises(DecodeError):
        head.finish()


def test_no_inputs() -> None:
    """A command without a byte behind it is complete."""
    head = FrameHead(COMMAND_BYTES)
    assert head.feed(frame(REQUEST, b"")) == b""
    assert head.finish() == REQUEST


@pytest.mark.parametrize("size", [COMMAND_BYTES, 2**32 - 1])
def test_too_long(size: int) -> None:
    """A length above the limit is refused as soon as it is there, under the limit's name."""
    head = FrameHead(COMMAND_BYTES - 1)
    with pytest.raises(LimitExceeded) as refused:
        head.feed(size.to_bytes(4, "big"))
    assert refused.value.limit == "command_bytes"


@pytest.mark.parametrize("command", [b"", b"\x00", b"\xff" * 40])
def test_no_command(command: bytes) -> None:
    """A frame that holds no command is refused as soon as it is whole."""
    head = FrameHead(100)
    with pytest.raises(DecodeError):
        head.feed(len(command).to_bytes(4, "big") + command)


def test_extended() -> None:
    """A command may be extended at its end, within its frame."""
    extended = encode(RUN_JOB_REQUEST, REQUEST) + b"more"
    head = FrameHead(len(extended))
    assert head.feed(len(extended).to_bytes(4, "big") + extended + INPUTS) == INPUTS
    assert head.finish() == REQUEST


@given(st.lists(st.binary(max_size=64), max_size=8))
def test_any_bytes(chunks: list[bytes]) -> None:
    """Whatever bytes come, there is a command, a decode error or a limit's error."""
    head = FrameHead(128)
    with suppress(DecodeError, LimitExceeded):
        for chunk in chunks:
            head.feed(chunk)
        head.finish()
