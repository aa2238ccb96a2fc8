"""One error for all that the system says of a disk that is full, broken, read-only or gone."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sccachedist.errors import DiskError, DiskFull

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def on_disk(*places: Path) -> Iterator[None]:
    """Work with files.

    :param places: where, as whoever reads the log knows it.
    :raises DiskFull: there is no room.
    :raises DiskError: the system does not let it for another reason.
    """
    try:
        yield
    except OSError as error:
        kind = DiskFull if error.errno in _FULL else DiskError
        raise kind(f"the disk of {' or '.join(map(str, places))}: {error.strerror or error}") from error
