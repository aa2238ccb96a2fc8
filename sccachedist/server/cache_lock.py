"""Locks a cache directory for one build server: a second one would remove files that the first is writing.

What is in the directory is not known here.
"""

import os
from pathlib import Path

from sccachedist.directories import lock_file, open_private
from sccachedist.errors import ConfigError

IDENTITY = "identity"
#: The directories that a build server makes in its cache directory, the one with the lock first.
CACHE_DIRECTORIES = (IDENTITY, "tc", "incoming", "spool")
_LOCK = "lock"


class CacheLock:
    """The lock on a cache directory: a file beside the identity, which also belongs to one build server only."""

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._descriptor: int | None = None

    def hold(self) -> None:
        """Lock the directory, unless this process has locked it already.

        :raises ConfigError: another build server has locked it.
        :raises OSError: it cannot be used.
        """
        if self._descriptor is not None:
            return
        identity = open_private(self._cache_dir / IDENTITY)
        try:
            self._descriptor = lock_file(identity, _LOCK)
        except BlockingIOError as error:
            raise ConfigError(f"cache_dir: {self._cache_dir} is in use by another build server") from error
        finally:
            os.close(identity)

    async def release(self) -> None:
        """Unlock the directory."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
