"""Real daemons under a service manager: what it hears of them, and that it does not hear of one that hangs."""

import contextlib
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, Launch
from farmkit.processes import Command

pytestmark = pytest.mark.functional

#: Within so many seconds the manager wants to hear of a daemon, which tells twice as often.
WATCHDOG_SECS = 1.0
#: A busy machine is waited for.
PATIENCE = 120.0


class Manager:
    """A service manager, as far as one daemon sees it."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))

    def launching(self, launch: Launch) -> Launch:
        """The same daemon, under this manager."""

        def launch_managed(config: Path) -> Command:
            command = launch(config)
            told = {"NOTIFY_SOCKET": str(self.address), "WATCHDOG_USEC": str(int(WATCHDOG_SECS * 1e6))}
            return attrs.evolve(command, environment={**command.environment, **told})

        return launch_managed

    def next(self, seconds: float = PATIENCE) -> str:
        """The next message.

        :raises TimeoutError: none comes in time.
        """
        self._socket.settimeout(seconds)
        return self._socket.recv(4096).decode()

    def hears(self, beginning: str) -> str:
        """The next message that begins in this way."""
        heard: list[str] = []
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            heard.append(self.next())
            if heard[-1].startswith(beginning):
                return heard[-1]
        raise AssertionError((beginning, heard))

    def forget(self) -> None:
        """Take no notice of what has come so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.next(0)

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()


@pytest.fixture
def managers(tmp_path: Path) -> Iterator[dict[str, Manager]]:
    """One for each role."""
    managers = {role: Manager(tmp_path / f"{role}.notify") for role in ("scheduler", "server")}
    yield managers
    for manager in managers.values():
        manager.close()


def test_of_daemons(tmp_path: Path, managers: dict[str, Manager]) -> None:
    """A build server has started although its scheduler is away; what both say of themselves; reload; hang; end."""
    scheduler, server = managers["scheduler"], managers["server"]
    farm = Farm(tmp_path, scheduler.launching(OUR_SCHEDULER), server.launching(OUR_SERVER))
    try:
        farm.launch_only_server()
        assert server.next() == "READY=1"
        server.hears("STATUS=it is not registered with the scheduler, 0 of ")
        farm.start_scheduler()
        assert scheduler.next() == "READY=1"
        slots = server.hears("STATUS=open, 0 of ").split()[3]
        assert scheduler.hears("STATUS=build servers: 1").endswith(f", slots taken: 0 of {slots}, waiting: 0")

        farm.scheduler.process.send_signal(signal.SIGHUP)
        scheduler.hears("RELOADING=1\nMONOTONIC_USEC=")
        assert scheduler.next() == "READY=1"

        config = tmp_path / "scheduler" / "scheduler.conf"
        farm.scheduler.process.send_signal(signal.SIGSTOP)
        scheduler.forget()
        with pytest.raises(TimeoutError):
            scheduler.next(4 * WATCHDOG_SECS)
        config.write_text("what is no configuration")
        for each in (signal.SIGHUP, signal.SIGCONT):
            farm.scheduler.process.send_signal(each)
        scheduler.hears("RELOADING=1")
        scheduler.hears("READY=1")
        assert "the configuration was wrong" in scheduler.hears("STATUS=")
        scheduler.hears("WATCHDOG=1")

        for manager, daemon in ((server, farm.server), (scheduler, farm.scheduler)):
            manager.forget()
            daemon.process.terminate()
            manager.hears("STOPPING=1")
    finally:
        farm.stop()
