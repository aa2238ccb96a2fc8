"""A file of JSON for the next start of a daemon, read and replaced as a whole. What is in it is not known here."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from sccachedist.directories import check_file
from sccachedist.errors import DecodeError, UntrustedPath

#: Runs a function that blocks, with its arguments.
InThread = Callable[..., Deferred[Any]]


def why_not(error: Exception) -> str:
    """Why a file cannot be read or written, in a few words."""
    return getattr(error, "strerror", None) or str(error)


def read_json(path: Path, most: int) -> object:
    """The document in a file that only this process's user or root can have written; blocks.

    :param most: bytes that it may have.
    :raises OSError: it cannot be read.
    :raises UntrustedPath: another user could have written it, or it is too large.
    :raises DecodeError: it is no JSON.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        check_file(os.fstat(file.fileno()))
        octets = file.read(most + 1)
    if len(octets) > most:
        raise UntrustedPath(f"it has more than {most} bytes")
    try:
        return json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise DecodeError("it is no JSON") from error


def replace_file(path: Path, octets: bytes) -> None:
    """Replace a file as a whole, for this process's user alone; blocks.

    :raises OSError: the disk does not take it.
    """
    fresh = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
