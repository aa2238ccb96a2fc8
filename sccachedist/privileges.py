"""From root to another user, for good: what a role started by root does before it hears anything from the network.

Its files change hands first. What is in them and who needs them is not known here.
"""

import ctypes
import os
import pwd
import sys
from pathlib import Path

import attrs

from sccachedist.errors import ConfigError

_PR_SET_DUMPABLE = 4


@attrs.frozen
class Account:
    """A user of this host."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str, key: str) -> "Account":
        """Look an account up that this process can become, or is.

        :raises ConfigError: it cannot; ``key`` is to blame.
        """
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise ConfigError(f"{key}: there is no user {name!r}") from None
        if os.geteuid() not in (0, entry.pw_uid):
            raise ConfigError(f"{key}: only root can become {name!r}")
        return cls(name, entry.pw_uid, entry.pw_gid)

    def become(self) -> None:
        """Be this user from now on, with its groups and without a way back."""
        if os.geteuid() == self.uid:
            return
        os.initgroups(self.name, self.gid)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        if sys.platform == "linux":  # /proc/self is the process's own again, as if that user had started it
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)

    def own(self, directory: Path) -> None:
        """Make a directory this user's, with all that is in it.

        One that is this user's already stays as it is: whoever had become that user might have put another's file
        there, for root to give away.
        """
        directory.mkdir(parents=True, exist_ok=True)
        if directory.stat().st_uid == self.uid:
            return
        for _, directories, files, place in os.fwalk(directory, topdown=False):
            for name in (*directories, *files):
                os.chown(name, self.uid, self.gid, dir_fd=place, follow_symlinks=False)
        os.chown(directory, self.uid, self.gid)
