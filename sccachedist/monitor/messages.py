"""The messages between a scheduler of Icecream and its monitors: values and their bytes, by a table.

Pure. The facts come from what Debian's icemon 3.3 and icecream-sundae 1.0.0 send and understand. A message is its
length, its number and its fields; lengths and numbers are 32 bits, big endian. A text is its length and UTF-8 with a
NUL at its end, which counts. The versions at the beginning are little endian, see
:mod:`sccachedist.monitor.conversation`.
"""

import struct
from typing import Any, get_type_hints

import attrs

from sccachedist.errors import DecodeError

#: Programs of today say 42 or more, and agree to this, too; from 39 on a message differs.
VERSION = 37
MOST_NUMBER = 2**32 - 1

_NUMBER = struct.Struct(">I")
_HEAD = struct.Struct(">II")


@attrs.frozen
class MonitorLogin:
    """The one thing that a monitor asks for: to be told all that follows."""


@attrs.frozen
class JobAsked:
    """A client wants a job done.

    :param name: of the file; ``language``: 0 for C, 1 for C++.
    :param client: the client's host.
    """

    name: str
    language: int
    job: int
    client: int


@attrs.frozen
class JobBegan:
    """A job that was asked for is compiled, at a host that was told of: else icemon ends with an assertion.

    :param at: in seconds since 1970.
    """

    job: int
    at: int
    host: int


@attrs.frozen
class JobDone:
    """A job has ended; times are milliseconds, sizes are bytes."""

    job: int
    exit_status: int
    real_ms: int = 0
    user_ms: int = 0
    system_ms: int = 0
    page_faults: int = 0
    in_packed: int = 0
    in_unpacked: int = 0
    out_packed: int = 0
    out_unpacked: int = 0
    flags: int = 0


@attrs.frozen
class LocalJobBegan:
    """A client compiles by itself."""

    client: int
    job: int
    at: int
    name: str


@attrs.frozen
class LocalJobDone:
    """A client has compiled by itself."""

    job: int


@attrs.frozen
class HostTold:
    """A build server or a client, as it is now.

    :param text: a line ``Key:value`` for each thing that is known; without ``Name``, the host has gone.
    """

    host: int
    text: str


MonitorMessage = MonitorLogin | JobAsked | JobBegan | JobDone | LocalJobBegan | LocalJobDone | HostTold

#: The number of each message. Its fields are those of the class, in order.
NUMBERS: dict[type[Any], int] = {
    LocalJobDone: 79,
    MonitorLogin: 82,
    JobAsked: 83,
    JobBegan: 84,
    JobDone: 85,
    LocalJobBegan: 86,
    HostTold: 87,
}
_BY_NUMBER = {number: kind for kind, number in NUMBERS.items()}
_FIELDS = {kind: {field.name: get_type_hints(kind)[field.name] for field in attrs.fields(kind)} for kind in NUMBERS}


def encoded(message: MonitorMessage) -> bytes:
    """The bytes of a message. A number that is too large becomes the largest."""
    kind = type(message)
    body = b"".join([_field(getattr(message, name)) for name in _FIELDS[kind]])
    return _HEAD.pack(_NUMBER.size + len(body), NUMBERS[kind]) + body


def _field(value: int | str) -> bytes:
    if isinstance(value, str):
        octets = value.encode(errors="replace") + b"\0"
        return _NUMBER.pack(len(octets)) + octets
    return _NUMBER.pack(value if 0 <= value <= MOST_NUMBER else min(max(value, 0), MOST_NUMBER))


def decoded(octets: bytes) -> MonitorMessage:
    """Read a message without its length.

    :raises DecodeError: it is none of :data:`NUMBERS`, or not whole, or more follows.
    """
    number, rest = _read_number(octets)
    kind = _BY_NUMBER.get(number)
    if kind is None:
        raise DecodeError(f"a monitor's message of the unknown number {number}")
    values: list[int | str] = []
    for field in _FIELDS[kind].values():
        value: int | str
        value, rest = _read_number(rest)
        if field is str:
            value, rest = _read_text(rest, value)
        values.append(value)
    if rest:
        raise DecodeError(f"{len(rest)} bytes follow a monitor's message")
    made: MonitorMessage = kind(*values)
    return made


def _read_number(octets: bytes) -> tuple[int, bytes]:
    if len(octets) < _NUMBER.size:
        raise DecodeError("a monitor's message ends within a number")
    return _NUMBER.unpack_from(octets)[0], octets[_NUMBER.size :]


def _read_text(octets: bytes, length: int) -> tuple[str, bytes]:
    text, rest = octets[:length], octets[length:]
    if len(text) != length or not text.endswith(b"\0"):
        raise DecodeError("a monitor's message has a text that does not end")
    try:
        return text[:-1].decode(), rest
    except UnicodeDecodeError as error:
        raise DecodeError("a monitor's message has a text that is not UTF-8") from error
