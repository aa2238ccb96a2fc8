"""What an administrator asks for, as the body of a request says it: each value is checked.

Pure. What an action does is decided in :mod:`sccachedist.scheduler.farm_actions`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from sccachedist.errors import DecodeError
from sccachedist.printable import excerpt, printable
from sccachedist.scheduler.out_of_service import MOST_TEXT

#: Names of build servers in one request, and the characters of each.
MOST_SERVERS, MOST_NAME = 100, 100
#: The most seconds for which a drain may be asked: ten years.
MOST_SECS = 10 * 365 * 86_400
#: The action that is about the scheduler itself, not about the farm.
RELOAD = "reload"
#: The keys of each action's body beside ``action``: those that it needs, and those that it may have.
ACTION_KEYS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "drain": (frozenset({"servers"}), frozenset({"until"})),
    "undrain": (frozenset({"servers"}), frozenset()),
    "forgive": (frozenset({"servers"}), frozenset()),
    "forget_server": (frozenset({"servers"}), frozenset()),
    "kill": (frozenset(), frozenset({"job", "client"})),
    "pause": (frozenset(), frozenset()),
    "resume": (frozenset(), frozenset()),
    "forget_toolchain": (frozenset({"toolchain"}), frozenset({"servers"})),
    RELOAD: (frozenset(), frozenset()),
}
#: What all may have.
_FOR_ALL = {"reason", "preview"}


@attrs.frozen
class Requested:
    """The body of a request.

    :param reason: for the audit; what is drained or paused shows it, too.
    :param until: in seconds from now.
    :param servers: names and patterns of build servers; None for all.
    :param job: the end of a job's number. ``toolchain``: the beginning of an archive id.
    """

    action: str
    servers: tuple[str, ...] | None = None
    reason: str = ""
    until: float | None = None
    job: str = ""
    client: str | None = None
    toolchain: str = ""
    preview: bool = False


def requested(document: object) -> Requested:
    """Read a body.

    :raises DecodeError: it is no action.
    """
    if not isinstance(document, dict):
        raise DecodeError("expected an object with the key action")
    given = {key: value for key, value in document.items() if value is not None}
    action = given.pop("action", None)
    if not isinstance(action, str) or action not in ACTION_KEYS:
        raise DecodeError(f"action: expected one of {', '.join(ACTION_KEYS)}")
    needed, allowed = ACTION_KEYS[action]
    for key in given.keys() - needed - allowed - _FOR_ALL:
        raise DecodeError(f"{action} has no {excerpt(str(key))}")
    for key in sorted(needed - given.keys()):
        raise DecodeError(f"{action} needs {key}")
    if action == "kill" and len(given.keys() & {"job", "client"}) != 1:
        raise DecodeError("kill needs a job or a client")
    read: dict[str, Any] = {key: _READ[key](value) for key, value in given.items()}
    asked = Requested(action, **read)
    if action == "pause" and not asked.reason and not asked.preview:
        raise DecodeError("pause needs a reason: clients are told it")
    return asked


def _text(key: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or not 0 < len(value.strip()) <= MOST_TEXT:
            raise DecodeError(f"{key}: expected a text of at most {MOST_TEXT} characters")
        return printable(value.strip())[:MOST_TEXT]

    return read


def _servers(value: object) -> tuple[str, ...]:
    names = value if isinstance(value, list) else []
    good = [name for name in names if isinstance(name, str) and len(name) <= MOST_NAME]
    if not 0 < len(good) == len(names) <= MOST_SERVERS:
        raise DecodeError(f"servers: expected a list of up to {MOST_SERVERS} addresses or patterns such as 10.0.0.*")
    return tuple(good)


def _until(value: object) -> float:
    if type(value) in (int, float) and 0 < value <= MOST_SECS:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    raise DecodeError("until: expected a number of seconds from now on")


def _reason(value: object) -> str:
    return "" if value == "" else _text("reason")(value)


def _job(value: object) -> str:
    digits = value.rpartition("…")[2] if isinstance(value, str) else ""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise DecodeError("job: expected its number, or the last digits of it, as a text")
    return digits


def _toolchain(value: object) -> str:
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{6,128}", value):
        return value
    raise DecodeError("toolchain: expected an archive id, or six or more characters that it begins with")


def _preview(value: object) -> bool:
    if type(value) is bool:
        return value
    raise DecodeError("preview: expected true or false")


_READ: Mapping[str, Callable[[object], object]] = {
    "servers": _servers,
    "reason": _reason,
    "until": _until,
    "job": _job,
    "client": _text("client"),
    "toolchain": _toolchain,
    "preview": _preview,
}
