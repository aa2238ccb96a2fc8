"""What a job's command may be at most. Pure: it is looked at and not run."""

from collections.abc import Iterable

from sccachedist.config import Limits
from sccachedist.errors import LimitExceeded
from sccachedist.wire.messages import RunJobRequest


def check_command(request: RunJobRequest, limits: Limits) -> None:
    """See that neither a system nor a log has to bear more than was configured.

    :raises LimitExceeded: there is too much of something.
    """
    command, outputs = request.command, request.outputs
    words = [word for variable in command.env_vars for word in variable]
    for key, most, found in (
        ("outputs", limits.outputs, len(outputs)),
        ("arguments", limits.arguments, len(command.arguments)),
        ("arguments_bytes", limits.arguments_bytes, _bytes(command.arguments)),
        ("variables", limits.variables, len(command.env_vars)),
        ("variables_bytes", limits.variables_bytes, _bytes(words)),
        ("path_bytes", limits.path_bytes, max(map(_size, (command.executable, command.cwd, *outputs)))),
    ):
        if found > most:
            raise LimitExceeded(key, f"a job's command with {found} where {most} is the most")


def _size(text: str) -> int:
    return len(text.encode())


def _bytes(texts: Iterable[str]) -> int:
    return sum(map(_size, texts))
