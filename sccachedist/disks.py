"""One error for all that the system says of a disk that is full, broken, read-only or gone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sccachedist.errors import DiskError


@contextmanager
def on_disk(*places: Path) -> Iterator[None]:
    """Work with files.

    :param places: where, as whoever reads the log knows it.
    :raises DiskError: the system does not let it.
    """
    try:
        yield
    except OSError as error:
        raise DiskError(f"the disk of {' or '.join(map(str, places))}: {error.strerror or error}") from error
