"""Writes the body of a ``RunJobResult`` answer to a file, and compresses the outputs as it reads them.

Memory stays bounded for outputs of any size. It does not know where they come from, nor whether they may be read: the
caller does.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from sccachedist.disks import on_disk
from sccachedist.errors import BuildError, LimitExceeded
from sccachedist.outcomes import SentLocal
from sccachedist.sandbox.archive.fastest_zlib import FASTEST_LEVEL, fastest
from sccachedist.wire.bincode import TEXT, U32, U64, decode
from sccachedist.wire.messages import PROCESS_OUTPUT, RUN_JOB_RESULT, ProcessOutput

T = TypeVar("T")

CHUNK = 256 * 1024

_COMPLETE = 1  # the variant of RunJobResult
_MOST_JSON = 16 * 1024 * 1024  # a list of numbers takes thirty times its bytes of memory


def write_result(
    path: Path, output: ProcessOutput, files: Iterable[tuple[str, Iterable[bytes]]], *, as_json: bool
) -> int:
    """Write ``Complete`` with these outputs: pairs of the name that the client asked for and the content in pieces.

    Returns how many bytes all contents have together, before compression.

    An existing file is overwritten and then cut to its new size, not emptied first: an emptied file goes to its disk at
    once.

    :raises LimitExceeded: the answer is too large for JSON, which no published program asks for.
    :raises BuildError: an output cannot be read.
    :raises DiskError: the disk is full or fails.
    """
    with on_disk(path.parent), path.open("r+b" if path.exists() else "w+b") as out:
        head = bytearray()
        U32.write(_COMPLETE, head)
        PROCESS_OUTPUT.write(output, head)
        out.write(head)
        count_at = out.tell()
        _write_number(out, 0)
        inflated = 0
        for count, (name, content) in enumerate(_made(files), start=1):
            inflated += _write_file(out, name, content)
            _overwrite_number(out, count_at, count)
        out.truncate()
        if as_json:
            _become_json(out)
    return inflated


def _write_file(out: BinaryIO, name: str, content: Iterable[bytes]) -> int:
    head = bytearray()
    TEXT.write(name, head)
    out.write(head)
    length_at = out.tell()
    _write_number(out, 0)
    inflated = _compress(content, out)
    _overwrite_number(out, length_at, out.tell() - length_at - 8)
    _write_number(out, inflated)
    return inflated


def _made(outputs: Iterable[T]) -> Iterator[T]:
    """What a compile has made, as it is read. If that cannot be read, it is the compile's own doing: no disk fails."""
    reading = iter(outputs)
    while True:
        try:
            each = next(reading)
        except StopIteration:
            return
        except OSError as error:
            raise BuildError(SentLocal.NO_OUTPUT, f"an output cannot be read: {error.strerror or error}") from error
        yield each


def _compress(content: Iterable[bytes], out: BinaryIO) -> int:
    """Return the number of bytes before compression."""
    stream = fastest.compressobj(FASTEST_LEVEL)  # the client inflates it once, on the same network
    size = 0
    for chunk in _made(content):
        size += len(chunk)
        out.write(stream.compress(chunk))
    out.write(stream.flush())
    return size


def _write_number(out: BinaryIO, value: int) -> None:
    data = bytearray()
    U64.write(value, data)
    out.write(data)


def _overwrite_number(out: BinaryIO, at: int, value: int) -> None:
    end = out.tell()
    out.seek(at)
    _write_number(out, value)
    out.seek(end)


def _become_json(out: BinaryIO) -> None:
    if out.tell() > _MOST_JSON:
        raise LimitExceeded("output_bytes", "an answer in JSON would take too much memory")
    out.seek(0)
    text = json.dumps(RUN_JOB_RESULT.to_json(decode(RUN_JOB_RESULT, out.read())))
    out.seek(0)
    out.truncate()
    out.write(text.encode())
