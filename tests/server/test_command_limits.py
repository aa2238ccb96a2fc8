"""What a job's command may be at most."""

import attrs
import pytest

from sccachedist.config import Limits
from sccachedist.errors import LimitExceeded
from sccachedist.server.command_limits import check_command
from sccachedist.wire.messages import CompileCommand, RunJobRequest

LIMITS = Limits(outputs=2, arguments=2, arguments_bytes=8, variables=2, variables_bytes=8, path_bytes=8)
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


def test_within() -> None:
    """As much as is allowed is allowed, and what real clients send is far below the defaults."""
    check_command(RunJobRequest(COMMAND, OUTPUTS), LIMITS)
    many = CompileCommand("/usr/bin/rustc", ("--extern",) * 10_000, (("CARGO_PKG_NAME", "x" * 50),) * 500, "/home/me")
    check_command(RunJobRequest(many, ("/home/me/target/debug/deps/libx.rlib",) * 100), Limits())


@pytest.mark.parametrize(("limit", "request_"), TOO_MUCH.items(), ids=TOO_MUCH)
def test_too_much(limit: str, request_: RunJobRequest) -> None:
    """It is refused, and the limit is named."""
    with pytest.raises(LimitExceeded) as caught:
        check_command(request_, LIMITS)
    assert caught.value.limit == limit


@pytest.mark.parametrize(
    "command", [attrs.evolve(COMMAND, executable="/23456789"), attrs.evolve(COMMAND, cwd="/23456789")]
)
def test_every_path_counts(command: CompileCommand) -> None:
    """Also the compiler's, and where it is run."""
    with pytest.raises(LimitExceeded) as caught:
        check_command(RunJobRequest(command, OUTPUTS), LIMITS)
    assert caught.value.limit == "path_bytes"
