"""From root to another user, for good: what a role started by root does before it hears anything from the network.

The role's files change their owner first. This module does not know what the files hold, nor which part needs them.
"""

import ctypes
import os
import pwd
import stat
import sys
from collections.abc import Collection
from pathlib import Path

import attrs

from sccachedist.directories import check_way, open_private, trusted
from sccachedist.errors import ConfigError

#: Why a build server should not be root if its sandboxes have its own uid.
JOBS_OF_ROOT = (
    "compiles run with root's uid: what a hole in their sandbox reaches of this host's files, they may read and write"
)

_PR_SET_DUMPABLE = 4
#: How many directories deep files are given away: archives lie in ``tc/a/b``.
_DEPTH = 3


@attrs.frozen
class Account:
    """A user of this host."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str, key: str) -> "Account":
        """Look up an account that this process is or can become.

        :raises ConfigError: there is none, or the process cannot become it; ``key`` is to blame.
        """
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise ConfigError(f"{key}: there is no user {name!r}") from None
        if os.geteuid() not in (0, entry.pw_uid):
            raise ConfigError(f"{key}: only root can become {name!r}")
        return cls(name, entry.pw_uid, entry.pw_gid)

    def become(self) -> None:
        """Become this user, with the user's groups and without a way back."""
        if os.geteuid() == self.uid:
            return
        os.initgroups(self.name, self.gid)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        if sys.platform == "linux":  # /proc/self belongs to the process again, as if that user had started it
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)

    def own(self, directory: Path, *names: str) -> None:
        """Make private directories this user's, with those files in them that are root's.

        A directory that already lies in one of this user's is left alone: root gives nothing away there. Nor does root
        give away a file that has a second name elsewhere, because that name may be in a tree outside this package.

        :param directory: their parent; it is given away too if it looks as if it had been made for them.
        :raises UntrustedPath: another user could change what is there.
        """
        for name in names:
            if not self.has_way(directory / name):
                self._own(directory / name)
        if not self.has_way(directory) and _is_made_for(directory, names):
            os.chown(directory, self.uid, self.gid, follow_symlinks=False)

    def has_way(self, path: Path) -> bool:
        """Whether a path is this user's or lies in this user's directory.

        Missing directories above it are made, and become this user's.

        :raises UntrustedPath: another user could change what is there.
        """
        if os.geteuid() == self.uid:
            return True
        way, owners = path.absolute().parent, trusted(self.uid)
        existing, users = check_way(path.absolute(), owners)
        if self.uid in users:
            return True
        missing = [way, *way.parents][: max(0, len(way.parts) - len(existing.parts))]
        if missing:
            os.close(open_private(way, owners))
        for made in missing:
            os.chown(made, self.uid, self.gid, follow_symlinks=False)
        return bool(missing)

    def _own(self, directory: Path) -> None:
        descriptor = open_private(directory)
        try:
            self._give(descriptor, _DEPTH)
        finally:
            os.close(descriptor)

    def _give(self, directory: int, depth: int) -> None:
        """Give away what is in a directory, and the directory last: then an interrupted call is repeated in full."""
        for name in os.listdir(directory):
            kind = stat.S_IFMT(os.lstat(name, dir_fd=directory).st_mode)
            if kind not in (stat.S_IFREG, stat.S_IFDIR):
                continue
            inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
            try:
                entry = os.fstat(inner)
                if entry.st_uid != os.geteuid():
                    continue
                if stat.S_ISDIR(entry.st_mode) and depth:
                    os.fchmod(inner, stat.S_IMODE(entry.st_mode) & 0o700)
                    self._give(inner, depth - 1)
                elif stat.S_ISREG(entry.st_mode) and entry.st_nlink == 1:
                    os.fchown(inner, self.uid, self.gid)
            finally:
                os.close(inner)
        os.fchown(directory, self.uid, self.gid)


def _is_made_for(directory: Path, names: Collection[str]) -> bool:
    """Whether a directory looks like one that root made for this package: private, with nothing else in it."""
    entry = os.stat(directory)
    private = (entry.st_uid, stat.S_IMODE(entry.st_mode)) == (os.geteuid(), 0o700)
    return private and set(os.listdir(directory)) <= set(names)
