"""Files on a disk that fails, in place of the real ones."""

import errno
import io
import os
from typing import Any

import pytest

#: What a system says of a full, a broken, a read-only and a foreign disk.
NUMBERS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.ESTALE)


def break_files(monkeypatch: pytest.MonkeyPatch, number: int, *, taken: int | None = None) -> None:
    """Let each file that is made from now on fail when it is written.

    :param taken: how many bytes it takes of what it is given, and says so, instead.
    """

    class Broken(io.FileIO):
        def write(self, data: Any) -> int:
            if taken is None:
                raise OSError(number, os.strerror(number))
            return super().write(data[:taken])

    monkeypatch.setattr("sccachedist.files.FileIO", Broken)


def failing(number: int) -> Any:
    """A function that fails in place of another one."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail
