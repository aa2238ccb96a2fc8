"""What a job's command may be at most."""

import time
from contextlib import suppress

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.config import ServerLimits
from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.server.command_limits import CommandCheck
from sccachedist.wire.bincode import U64, encode
from sccachedist.wire.messages import RUN_JOB_REQUEST, CompileCommand, RunJobRequest

LIMITS = ServerLimits(outputs=2, arguments=2, arguments_bytes=8, variables=2, variables_bytes=8, path_bytes=8)
COMMAND = CompileCommand("/bin/gcc", ("-c", "a.c"), (("A", "b"), ("C", "d")), "/work")
OUTPUTS = ("a.o", "a.d")
TOO_MUCH = {
    "outputs": RunJobRequest(COMMAND, (*OUTPUTS, "x")),
    "arguments": RunJobRequest(attrs.evolve(COMMAND, arguments=("a", "b", "c")), OUTPUTS),
    "arguments_bytes": RunJobRequest(attrs.evolve(COMMAND, arguments=("12345", "äö")), OUTPUTS),
    "variables": RunJobRequest(attrs.evolve(COMMAND, env_vars=(("A", ""), ("B", ""), ("A", ""))), OUTPUTS),
    "variables_bytes": RunJobRequest(attrs.evolve(COMMAND, env_vars=(("A", "12345678"),)), OUTPUTS),
    "path_bytes": RunJobRequest(COMMAND, ("a.o", "/12345678")),
}


def look(octets: bytes, limits: ServerLimits = LIMITS, step: int = 1 << 18) -> float:
    """Have a command looked at that comes in pieces; gives the seconds of CPU that the longest look took."""
    check, came, longest = CommandCheck(limits), bytearray(), 0.0
    for start in range(0, max(1, len(octets)), step):
        came += octets[start : start + step]
        began = time.thread_time()
        check.look(came, len(octets))
        longest = max(longest, time.thread_time() - began)
    return longest


@pytest.mark.parametrize("step", [1, 7, 1 << 18])
def test_within(step: int) -> None:
    """As much as is allowed is allowed, and what real clients send is far below the defaults."""
    look(encode(RUN_JOB_REQUEST, RunJobRequest(COMMAND, OUTPUTS)), LIMITS, step)
    look(encode(RUN_JOB_REQUEST, RunJobRequest(COMMAND, ())) + b"something of a later release", LIMITS, step)
    many = CompileCommand("/usr/bin/rustc", ("--extern",) * 10_000, (("CARGO_PKG_NAME", "x" * 50),) * 500, "/home/me")
    outputs = ("/home/me/target/debug/deps/libx.rlib",) * 100
    look(encode(RUN_JOB_REQUEST, RunJobRequest(many, outputs)), ServerLimits(), max(step, 100))


@pytest.mark.parametrize("step", [1, 7, 1 << 18])
@pytest.mark.parametrize(("limit", "request_"), TOO_MUCH.items(), ids=TOO_MUCH)
def test_too_much(limit: str, request_: RunJobRequest, step: int) -> None:
    """It is refused, and the limit is named."""
    with pytest.raises(LimitExceeded) as caught:
        look(encode(RUN_JOB_REQUEST, request_), LIMITS, step)
    assert caught.value.limit == limit


@pytest.mark.parametrize(
    "command", [attrs.evolve(COMMAND, executable="/23456789"), attrs.evolve(COMMAND, cwd="/23456789")]
)
def test_every_path_counts(command: CompileCommand) -> None:
    """Also the compiler's, and where it is run."""
    with pytest.raises(LimitExceeded) as caught:
        look(encode(RUN_JOB_REQUEST, RunJobRequest(command, OUTPUTS)))
    assert caught.value.limit == "path_bytes"


@pytest.mark.parametrize("step", [1, 7, 1 << 18])
def test_ends_early(step: int) -> None:
    """A command that ends before all of it is there is none."""
    whole = encode(RUN_JOB_REQUEST, RunJobRequest(COMMAND, OUTPUTS))
    for size in range(len(whole)):
        with pytest.raises(DecodeError):
            look(whole[:size], LIMITS, step)


@pytest.mark.parametrize("command", [b"", b"\x00", b"\xff" * 40, encode(U64, 1 << 63) + bytes(40)])
def test_no_command(command: bytes) -> None:
    """What cannot be a command is refused."""
    with pytest.raises((DecodeError, LimitExceeded)):
        look(command)


@given(st.binary(max_size=100), st.integers(1, 20))
def test_any_bytes(octets: bytes, step: int) -> None:
    """Whatever comes is within the limits or refused, wherever it is cut."""
    verdicts = []
    for cut in (step, 1 << 18):
        verdict = ""
        try:
            look(octets, LIMITS, cut)
        except (DecodeError, LimitExceeded) as error:
            verdict = type(error).__name__
        verdicts.append(verdict)
    assert bool(verdicts[0]) is bool(verdicts[1])


@pytest.mark.parametrize(
    "command",
    [
        CompileCommand("cc", ("",) * 500_000, (), "/"),
        CompileCommand("cc", ("",) * 65_536, (("", ""),) * 8192, "/"),
        CompileCommand("cc", ("x" * 32,) * 65_536, (("x", "y"),) * 8192, "/"),
    ],
)
def test_takes_no_time(command: CompileCommand) -> None:
    """No piece of a command holds up others for long, whether it is within the limits or not."""
    outputs = ("",) * 1024
    octets = encode(RUN_JOB_REQUEST, RunJobRequest(command, outputs))
    with suppress(LimitExceeded):
        assert look(octets, ServerLimits()) < 0.015
    assert len(command.arguments) <= 65_536 or _refused_after(octets) < 100


def _refused_after(octets: bytes) -> int:
    """How many bytes of a command have come when it is refused."""
    check = CommandCheck(ServerLimits())
    for size in range(len(octets)):
        try:
            check.look(bytearray(octets[:size]), len(octets))
        except LimitExceeded:
            return size
    return len(octets)
