"""What is known of the toolchains in object stores, from which build servers get what no client need bring then.

A build server looks into its store when it is asked to take a job whose toolchain no server of the farm has; what it
answers holds for all servers of that store. One that could not get a toolchain shows that it is not there any more.

Pure: the time is an argument. Who is asked, and when, is decided in :mod:`sccachedist.scheduler.presumptions`.
"""

from sccachedist.bounded import remember

#: Seconds until a store is asked again for a toolchain that it lacked: by then, someone may have put it there.
LACKING_SECS = 10.0
#: How many toolchains are remembered, of all stores together.
MOST_STORED = 10_000


class StoredToolchains:
    """Remembers what build servers found in their object stores. A store is known by its name."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], None] = {}
        self._lacking: dict[tuple[str, str], float] = {}
        self._sizes: dict[str, int] = {}

    def found(self, store: str, toolchain: str) -> None:
        """Note that a store has a toolchain."""
        self._lacking.pop((store, toolchain), None)
        remember(self._found, (store, toolchain), None, MOST_STORED)

    def lacks(self, store: str, toolchain: str, now: float) -> None:
        """Note that a store does not have a toolchain."""
        self._found.pop((store, toolchain), None)
        remember(self._lacking, (store, toolchain), now + LACKING_SECS, MOST_STORED)

    def forget(self, store: str, toolchain: str) -> None:
        """Note that a server did not get a toolchain from a store: the next one looks again."""
        self._found.pop((store, toolchain), None)

    def has(self, store: str, toolchain: str) -> bool:
        """Whether a store is known to have a toolchain."""
        return (store, toolchain) in self._found

    def is_unknown(self, store: str, toolchain: str, now: float) -> bool:
        """Whether a server of a store has to look."""
        return not self.has(store, toolchain) and now >= self._lacking.get((store, toolchain), now)

    def used(self, toolchain: str, size: int | None) -> None:
        """Note that a server with a store got a job with a toolchain, which it keeps there.

        :param size: in bytes; None if it is not known yet.
        """
        remember(self._sizes, toolchain, size or self._sizes.get(toolchain, 0), MOST_STORED)

    def likely_size(self, toolchain: str) -> int | None:
        """The bytes of a toolchain that some store is likely to have, 0 if that is not known; None for any other."""
        return self._sizes.get(toolchain)
