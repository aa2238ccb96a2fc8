"""One build server has a cache directory to itself: a second one would remove what the first is writing.

What is in the directory is not known here.
"""

import os
from pathlib import Path

from sccachedist.directories import lock_file, open_private
from sccachedist.errors import ConfigError

IDENTITY = "identity"
#: What a build server makes in its cache directory, the one with the lock first.
CACHE_DIRECTORIES = (IDENTITY, "tc", "incoming", "spool")
_LOCK = "lock"


class CacheLock:
    """The lock on a cache directory: a file beside the identity, which no other build server may show either."""

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._descriptor: int | None = None

    def hold(self) -> None:
        """Lock it, unless it is locked for this process already.

        :raises ConfigError: another build server has.
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
        """Let another build server have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
