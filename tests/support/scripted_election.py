"""A scheduler that leads while a file says so: ``python -m tests.support.scripted_election FILE PROGRAM ARGUMENT...``.

The file holds a URL if the scheduler there leads, ``lead`` if this one does, and nothing if that is not known.
"""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.task import LoopingCall

from farmkit.launch import Launch, inside
from farmkit.processes import Command
from sccachedist.cluster.leadership import Candidate, Following, Leadership, Leading

_TICK = 0.05


class Script:
    """The election that a file decides."""

    def __init__(self, file: Path, reactor: Any) -> None:
        self._file = file
        self._observers: list[Callable[[Leadership], None]] = []
        self.current = self._read()
        looking = LoopingCall(self._look)
        looking.clock = reactor
        looking.start(_TICK)

    def observe(self, observer: Callable[[Leadership], None]) -> None:
        """See :class:`~sccachedist.cluster.leadership.Election`."""
        self._observers.append(observer)

    def _read(self) -> Leadership:
        said = self._file.read_text()
        if said == "lead":
            return Leading(1)
        return Following(Candidate(said, said) if said else None)

    def _look(self) -> None:
        now = self._read()
        if now != self.current:
            self.current = now
            for observer in self._observers:
                observer(now)


def led_by(launch: Launch, file: Path) -> Launch:
    """The same scheduler, with such an election."""

    def launch_scripted(config: Path) -> Command:
        return inside("tests.support.scripted_election", file, launch(config))

    return launch_scripted


def say(file: Path, said: str) -> None:
    """Decide the election."""
    new = file.with_suffix(".new")
    new.write_text(said)
    new.replace(file)


def _main(file: Path) -> None:
    from sccachedist.scheduler import service

    build = service.scheduler_service

    def scripted(settings: Any, reactor: Any, listen: Any, reload: Any) -> Any:
        return build(settings, reactor, listen, reload, Script(file, reactor))

    service.scheduler_service = scripted  # type: ignore[assignment]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    del sys.argv[0]
    _main(Path(sys.argv.pop(0)))
