"""How much memory is free: on this host, and in the control groups that have a limit for this process.

What the kernel takes back as soon as it is asked for, such as files that it keeps in memory, counts as free.
"""

from collections.abc import Iterable
from pathlib import Path

import attrs

_HOST, _OF_HOST = Path("/proc/meminfo"), "this host"


@attrs.frozen
class FreeMemory:
    """Bytes that processes can still get.

    :param of: whose memory it is, in the words that a reader of the log knows.
    """

    bytes: int
    of: str


def host_memory(file: Path = _HOST) -> tuple[int | None, int | None]:
    """The bytes of memory that processes can still get, and those of all; None if a file of Linux' form has none.

    The kernel makes it in some ten microseconds.
    """
    found = _numbers(file, 256)  # the first lines have it
    return found.get("MemAvailable"), found.get("MemTotal")


def least_free_memory(groups: Iterable[tuple[int, str]], host: Path = _HOST) -> FreeMemory | None:
    """Whichever has least, the host or one of some control groups; None if nothing can be told.

    :param groups: the version and the directory of each.
    """
    free, whole = host_memory(host)
    found = [] if free is None else [FreeMemory(free, _OF_HOST)]
    for version, group in groups:
        left = _free_in_group(version, Path(group), whole)
        if left is not None:
            found.append(FreeMemory(left, _of_group(group)))
    return min(found, key=lambda each: each.bytes, default=None)


def least_memory(groups: Iterable[tuple[int, str]], host: Path = _HOST) -> tuple[int, str] | None:
    """The bytes of whichever has least, the host or a group with a limit, and whose they are; None if it is not known.

    :param groups: the version and the directory of each.
    """
    _, whole = host_memory(host)
    found = [] if whole is None else [(whole, _OF_HOST)]
    for version, group in groups:
        limit = _limit(version, Path(group), whole)
        if limit is not None:
            found.append((limit, _of_group(group)))
    return min(found, default=None)


def _of_group(group: str) -> str:
    return f"the control group {group}"


def _limit(version: int, group: Path, whole: int | None) -> int | None:
    """A group's limit; None if it has none, or one that the whole memory of the host is below."""
    names = ("memory.limit_in_bytes",) if version == 1 else ("memory.max", "memory.high")
    limit = min((size for name in names if (size := _number(group / name)) is not None), default=None)
    return None if limit is None or (whole is not None and limit > whole) else limit


def _free_in_group(version: int, group: Path, whole: int | None) -> int | None:
    """The bytes below a group's limit; None if it has none."""
    used, kept = (
        ("memory.usage_in_bytes", ("total_active_file", "total_inactive_file"))
        if version == 1
        else ("memory.current", ("active_file", "inactive_file", "slab_reclaimable"))
    )
    limit = _limit(version, group, whole)
    if limit is None or (taken := _number(group / used)) is None:
        return None
    numbers = _numbers(group / "memory.stat", -1)
    return limit - taken + sum(numbers.get(name, 0) for name in kept)


def _number(file: Path) -> int | None:
    """The number in a file; None if it is not there, or has a word."""
    text = _read(file, 64).strip()
    return int(text) if text.isdigit() else None


def _numbers(file: Path, most: int) -> dict[str, int]:
    """The numbers of a file with a name and a number in each line, and perhaps ``kB``."""
    found: dict[str, int] = {}
    for line in _read(file, most).splitlines():
        match line.split():
            case [name, number] if number.isdigit():
                found[name.decode()] = int(number)
            case [name, number, b"kB"] if number.isdigit():
                found[name.decode().rstrip(":")] = int(number) << 10
    return found


def _read(file: Path, most: int) -> bytes:
    """The beginning of a file, with one call of the system; empty if it is not there."""
    try:
        with file.open("rb", buffering=0) as opened:
            return opened.read(most) or b""
    except OSError:  # this host, version or group has none
        return b""
