"""What this build server sees of its host, for its heartbeats and its metrics. It never blocks, and costs little.

The room on disks comes from a look now and then, in a thread: a disk may not answer for minutes.
"""

import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from sccachedist.daemon.logs import Logger
from sccachedist.disks import free_bytes
from sccachedist.memory import host_memory
from sccachedist.wire.host_facts import HostFacts

log = Logger()

#: Seconds between two looks at the room on the disks.
DISK_SECS = 10.0
_MOST_NAME = 253


class Host:
    """The host.

    :param directories: whose disks' room is looked at, by their names in the configuration without ``_dir``.
    :param in_thread: runs a function that blocks.
    :param uploads: returns the toolchains that clients are bringing, with the bytes that are there.
    """

    def __init__(
        self,
        directories: Mapping[str, Path],
        in_thread: Callable[..., Awaitable[Any]],
        uploads: Callable[[], tuple[tuple[str, int], ...]],
    ) -> None:
        self._directories, self._in_thread, self._uploads = directories, in_thread, uploads
        self._name = host_name(socket.gethostname())
        #: The number of its machine, see :mod:`sccachedist.wire.machines`.
        self.machine = elf_machine(Path(sys.executable))
        self._looking = False
        #: The free bytes where each directory lies, if they are known.
        self.free: dict[str, int] = {}

    def facts(self) -> HostFacts:
        """All that is known now, but for the sizes of toolchains."""
        memory_free, memory_total = host_memory()
        return HostFacts(
            name=self._name,
            machine=self.machine,
            load=load(),
            memory_free=memory_free,
            memory_total=memory_total,
            cache_free=self.free.get("cache"),
            build_free=self.free.get("build"),
            uploads=self._uploads(),
        )

    def look_at_disks(self) -> None:
        """See how much room there is. In a thread, and one look at a time: a disk may not answer for minutes.

        What was seen stays until then, so that no scrape misses it; if a look takes until the next, it is not known.
        """
        if self._looking:
            self.free.clear()
        else:
            self._looking = True
            looking = Deferred.fromCoroutine(self._look())
            looking.addErrback(lambda failure: log.failure("the room on the disks is not known", failure))

    async def _look(self) -> None:
        try:
            for name, directory in self._directories.items():
                free = await self._in_thread(free_bytes, directory)
                if free is None:
                    self.free.pop(name, None)
                else:
                    self.free[name] = free
        finally:
            self._looking = False


def host_name(told: str) -> str:
    """A host's name as it may travel: short, and in characters that UTF-8 has."""
    return told.encode(errors="replace")[:_MOST_NAME].decode(errors="ignore")


def elf_machine(program: Path) -> int:
    """ELF's number of the machine that a program is for; 0 if that cannot be told."""
    try:
        with program.open("rb") as file:
            head = file.read(20)
    except OSError:
        return 0
    if len(head) < 20 or not head.startswith(b"\x7fELF"):
        return 0
    return int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")


def load() -> int | None:
    """How many processes ran or waited in the last minute, in thousandths; None if that cannot be told."""
    try:
        return round(1000 * os.getloadavg()[0])
    except OSError:
        return None
