"""Stores of Redis, and Sentinels, each a process on a port of its own."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from farmkit.processes import LOOPBACK, Command, Daemon, answers, free_port, inherited


@attrs.define
class RedisServer:
    """One of them.

    :param folder: what it keeps; no two have the same.
    :param lines: of its configuration, in addition.
    :param program: ``redis-server``, or ``redis-sentinel``.
    """

    folder: Path
    lines: tuple[str, ...] = ()
    program: str = "redis-server"
    port: int = attrs.field(factory=free_port)
    _daemon: Daemon | None = attrs.field(default=None, init=False)

    def start(self) -> None:
        """Start it, empty where nothing else is configured, and wait until it answers."""
        self.folder.mkdir(exist_ok=True)
        config = self.folder / "redis.conf"
        if not config.exists():  # a Sentinel writes what it learns into its own
            keeps = () if self.program == "redis-sentinel" else ('save ""', "repl-diskless-sync-delay 0")
            lines = (f"port {self.port}", f"bind {LOOPBACK}", f"dir {self.folder}", *keeps, *self.lines)
            config.write_text("\n".join(lines) + "\n")
        command = Command((self.program, str(config)), inherited(), self.folder)
        self._daemon = Daemon.start(command, self.folder / "log")
        self._daemon.wait_until(lambda: answers(self.listens_at), 20, "a store that answers")

    @property
    def listens_at(self) -> int:
        """The port of TLS, if it has one."""
        tls = [line.split()[1] for line in self.lines if line.startswith("tls-port ")]
        return int(tls[0]) if tls else self.port

    def kill(self) -> None:
        """End it at once."""
        if self._daemon is not None:
            self._daemon.kill()

    @contextmanager
    def running(self) -> Iterator["RedisServer"]:
        """Have it while this lasts."""
        self.start()
        try:
            yield self
        finally:
            self.kill()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have it take connections and answer nothing for a while."""
        assert self._daemon is not None
        os.kill(self._daemon.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._daemon.process.pid, signal.SIGCONT)
