"""One error for everything that the system reports of a disk that is full, broken, read-only or gone."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sccachedist.errors import DiskError, DiskFull

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def on_disk(*places: Path) -> Iterator[None]:
    """Turn the ``OSError`` of a block that works with files into a :class:`DiskError`.

    :param places: where the files are, in the words that a reader of the log knows.
    :raises DiskFull: there is no room.
    :raises DiskError: the system refuses for another reason.
    """
    try:
        yield
    except OSError as error:
        kind = DiskFull if error.errno in _FULL else DiskError
        raise kind(f"the disk of {' or '.join(map(str, places))}: {error.strerror or error}") from error
