"""The body of ``run_job`` in pieces."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import RUN_JOB_REQUEST, CompileCommand, RunJobRequest
from sccachedist.wire.run_job_frame import FrameHead, frame

REQUEST = RunJobRequest(CompileCommand("/bin/cc", ("-c", "x.c"), (("A", "b"),), "/w"), ("x.o",))
COMMAND = encode(RUN_JOB_REQUEST, REQUEST)
COMMAND_BYTES = len(COMMAND)
INPUTS = b"zlib stream"
BODY = frame(REQUEST, INPUTS)


@pytest.mark.parametrize("split", range(len(BODY) + 1))
def test_any_split(split: int) -> None:
    """Wherever the network cuts a body in two, command and inputs are the same."""
    head = FrameHead(COMMAND_BYTES)
    inputs = head.feed(BODY[:split]) + head.feed(BODY[split:])
    assert (head.finish(), inputs) == (COMMAND, INPUTS)


def test_byte_by_byte() -> None:
    """A client that sends single bytes is understood too."""
    head = FrameHead(COMMAND_BYTES)
    inputs = b"".join(head.feed(bytes([byte])) for byte in BODY)
    assert (head.finish(), inputs) == (COMMAND, INPUTS)


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
    assert head.finish() == COMMAND


@pytest.mark.parametrize("size", [COMMAND_BYTES, 2**32 - 1])
def test_too_long(size: int) -> None:
    """A length above the limit is refused as soon as it is there, under the limit's name."""
    head = FrameHead(COMMAND_BYTES - 1)
    with pytest.raises(LimitExceeded) as refused:
        head.feed(size.to_bytes(4, "big"))
    assert refused.value.limit == "command_bytes"


def test_looked_at_as_it_comes() -> None:
    """A reader of a command sees all that has come of it, and none of the inputs."""
    seen: list[bytes] = []

    def look(octets: bytearray, size: int) -> None:
        assert size == COMMAND_BYTES
        seen.append(bytes(octets))

    head = FrameHead(COMMAND_BYTES, look)
    for byte in BODY:
        head.feed(bytes([byte]))
    assert seen == [COMMAND[:size] for size in range(COMMAND_BYTES + 1)]


def test_no_command() -> None:
    """A frame of no bytes is looked at too."""

    def look(octets: bytearray, size: int) -> None:
        raise DecodeError(f"{size} bytes are no command")

    with pytest.raises(DecodeError):
        FrameHead(100, look).feed(bytes(4) + INPUTS)


def test_extended() -> None:
    """A command may be extended at its end, within its frame."""
    extended = COMMAND + b"more"
    head = FrameHead(len(extended))
    assert head.feed(len(extended).to_bytes(4, "big") + extended + INPUTS) == INPUTS
    assert head.finish() == extended


@given(st.lists(st.binary(max_size=64), max_size=8))
def test_any_bytes(chunks: list[bytes]) -> None:
    """Whatever bytes come, there is a command, a decode error or a limit's error."""
    head = FrameHead(128)
    with suppress(DecodeError, LimitExceeded):
        for chunk in chunks:
            head.feed(chunk)
        head.finish()
