"""How long the turns of a daemon's reactor take: ``python -m tests.support.turns FILE PROGRAM ARGUMENT...``.

A turn is what the reactor does from one look for events to the next one. It is measured in CPU time of the reactor's
thread, so that other programs of the machine do not count. The longest turn stands in FILE, where a test reads it and
sets it back.
"""

import mmap
import runpy
import struct
import sys
import time
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import epollreactor

from farmkit.launch import Launch, inside
from farmkit.processes import Command

_SECONDS = struct.Struct("=d")
_NAME = "turns"


@attrs.frozen
class Turns:
    """The longest turn of a daemon since it was last set back."""

    _file: Path

    @property
    def longest(self) -> float:
        """In seconds of CPU."""
        return float(_SECONDS.unpack(self._file.read_bytes())[0])

    def forget(self) -> None:
        """Begin again."""
        with self._file.open("r+b") as file:
            file.write(_SECONDS.pack(0.0))


def metered(launch: Launch) -> Launch:
    """The same daemon, with :func:`turns_of` its configuration file."""

    def launch_metered(config: Path) -> Command:
        file = config.with_name(_NAME)
        file.write_bytes(_SECONDS.pack(0.0))
        return inside(__name__, file, launch(config))

    return launch_metered


def turns_of(folder: Path) -> Turns:
    """The turns of the daemon whose configuration file is in this folder."""
    return Turns(folder / _NAME)


class _Poller:
    """Stands before a reactor's ``epoll`` object and notes how long it was not asked."""

    def __init__(self, poller: Any, memory: mmap.mmap) -> None:
        self._poller, self._memory = poller, memory
        self._began = time.thread_time()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)

    def poll(self, *arguments: Any) -> Any:
        """Look for events."""
        turn = time.thread_time() - self._began
        if turn > _SECONDS.unpack_from(self._memory)[0]:
            _SECONDS.pack_into(self._memory, 0, turn)
        try:
            return self._poller.poll(*arguments)
        finally:
            self._began = time.thread_time()


def main() -> None:
    """Run the program."""
    _, file, *sys.argv = sys.argv
    with Path(file).open("r+b") as opened:
        memory = mmap.mmap(opened.fileno(), 0)
    made = epollreactor.EPollReactor.__init__

    def make(reactor: Any) -> None:
        made(reactor)
        reactor._poller = _Poller(reactor._poller, memory)

    epollreactor.EPollReactor.__init__ = make  # type: ignore[method-assign]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
