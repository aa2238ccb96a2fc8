"""Changes to a file that several people edit: one at a time, and whole or not at all. Its content is not known here."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sccachedist.errors import ConfigError

#: Seconds for which another command may have the file, and from one look whether it still has to the next.
LOCK_SECS, LOOK_SECS = 10.0, 0.05
#: Who may read a file that is made: its owner, and others only if they may read the one beside which it is made.
_OWNER, _READING = 0o600, 0o044


class FileChange:
    """A file of text in UTF-8 that this process alone changes, of those that use this class.

    :param path: where it is, or will be; a symbolic link stays one.
    :param beside: whose owner, group and readers it gets if it has to be made.
    :raises ConfigError: it cannot be read.
    """

    def __init__(self, path: Path, beside: Path) -> None:
        self._name, self._path, self._beside = path, path.resolve(), beside
        self._before = self._content()

    @property
    def octets(self) -> bytes | None:
        """What is in it; None if it is not there."""
        return self._before

    def write(self, octets: bytes, last_step: Callable[[], None] = lambda: None) -> None:
        """Put something else in its place.

        :param last_step: is done when only the new file's name is left to be given; if it raises, nothing has changed.
        :raises ConfigError: nothing has changed; the text says why.
        """
        folder = self._path.parent
        new = folder / f".{self._path.name}.new"  # only the holder of the lock writes it: what is there is left over
        try:
            with self._refusing("written"):
                new.unlink(missing_ok=True)
                descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _OWNER)
                with open(descriptor, "wb") as file:
                    self._give_away(descriptor)
                    file.write(octets)
                    file.flush()
                    os.fsync(descriptor)
            if self._content() != self._before:
                raise ConfigError(f"{self._name}: another program has just changed it: nothing is changed, try again")
            last_step()
            with self._refusing("written"):
                new.replace(self._path)
        finally:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            _sync(folder)

    def _content(self) -> bytes | None:
        with self._refusing("read"):
            try:
                return self._path.read_bytes()
            except FileNotFoundError:
                return None

    def _give_away(self, descriptor: int) -> None:
        """Let the new file have the owner, group and mode of the old one."""
        if self._before is not None:
            like = self._path.stat()
            os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
            return
        like = self._beside.stat()
        with contextlib.suppress(PermissionError):  # only root gives files away
            os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, _OWNER | like.st_mode & _READING)

    @contextlib.contextmanager
    def _refusing(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(f"{self._name}: cannot be {what}, nothing is changed: {error.strerror}") from error


@contextlib.contextmanager
def changing(path: Path, beside: Path) -> Iterator[FileChange]:
    """Lock a file: other commands that want to change it wait.

    :raises ConfigError: it cannot be had.
    """
    folder = path.resolve().parent
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"{path}: its directory cannot be read: {error.strerror}") from error
    try:
        _lock(descriptor, path)
        yield FileChange(path, beside)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    """The directory is locked, for the file is another one after each change."""
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() - began > LOCK_SECS:
                raise ConfigError(f"{path}: another command is changing it: nothing is changed, try again") from None
            time.sleep(LOOK_SECS)
        except OSError as error:
            if error.errno not in (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP):  # NFS locks no directories
                raise ConfigError(f"{path}: its directory cannot be locked: {error.strerror}") from error
            return
        else:
            return


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
