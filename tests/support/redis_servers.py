"""Stores of Redis, and Sentinels, each a process on a port of its own."""

import os
import shutil
import signal
import subprocess
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
    :param host: its address; ``within``: what stands before a command that is to run there.
    """

    folder: Path
    lines: tuple[str, ...] = ()
    program: str = "redis-server"
    host: str = LOOPBACK
    within: tuple[str, ...] = ()
    port: int = attrs.field(factory=free_port)
    _daemon: Daemon | None = attrs.field(default=None, init=False)

    @property
    def daemon(self) -> Daemon:
        """The process, another one after each start."""
        assert self._daemon is not None, "it was never started"
        return self._daemon

    def start(self) -> None:
        """Start it, empty where nothing else is configured, and wait until it answers."""
        self.launch()
        self.daemon.wait_until(lambda: answers(self.listens_at, self.host), 20, "a store that answers")

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        self.folder.mkdir(exist_ok=True)
        config = self.folder / "redis.conf"
        if not config.exists():  # a Sentinel writes what it learns into its own
            keeps = () if self.program == "redis-sentinel" else ('save ""', "repl-diskless-sync-delay 0")
            lines = (
                f"port {self.port}",
                f"bind {self.host}",
                "protected-mode no",
                f"dir {self.folder}",
                *keeps,
                *self.lines,
            )
            config.write_text("\n".join(lines) + "\n")
        command = Command((*self.within, self.program, str(config)), inherited(), self.folder)
        self._daemon = Daemon.start(command, self.folder / "log")

    @property
    def listens_at(self) -> int:
        """The port of TLS, if it has one."""
        tls = [line.split()[1] for line in self.lines if line.startswith("tls-port ")]
        return int(tls[0]) if tls else self.port

    def ask(self, *command: str) -> str:
        """What it says to one command of its default user."""
        address = ("-h", self.host, "-p", str(self.port))
        return subprocess.run(
            ["redis-cli", *address, *command], check=True, capture_output=True, text=True, env=inherited()
        ).stdout

    def kill(self) -> None:
        """End it at once."""
        if self._daemon is not None:
            self._daemon.kill()

    def lose(self) -> None:
        """Remove what it keeps, where it is configured to keep anything; it does not run."""
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)

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
        os.kill(self.daemon.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.daemon.process.pid, signal.SIGCONT)
