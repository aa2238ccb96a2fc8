"""Programs in the background: started with a log, waited for by a condition, always stopped.

It knows neither what the programs are nor what their logs say.
"""

import contextlib
import os
import resource
import secrets
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import attrs

#: The host that a farm of one machine is on.
LOOPBACK = "127.0.0.1"

_FIRST_PORT, _PORTS = 10_000, 20_000  # below those that kernels give to outgoing connections
_SHARES = 8  # processes that choose ports at the same time choose from different ones, most of the time
_chosen: deque[int] = deque(maxlen=100)
_TICK = 0.05

_INHERITED = ("CARGO_HOME", "HOME", "PATH", "RUSTUP_HOME")  # no locale: compilers quote by it


def free_port() -> int:
    """A port of the loopback where nobody listens, and that was not given to anybody a short while ago.

    It is a random one, so that runs side by side do not meet.
    """
    while True:
        port = _FIRST_PORT + _SHARES * secrets.randbelow(_PORTS // _SHARES) + os.getpid() % _SHARES
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            if port not in _chosen:
                _chosen.append(port)
                return port


def answers(port: int, host: str = LOOPBACK) -> bool:
    """Whether somebody listens on this port of an address, written as in a URL."""
    with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), port), timeout=1):
        return True
    return False


def allow_most_descriptors() -> None:
    """Let this process have as many descriptors as the system allows it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Return as soon as a condition holds.

    :raises TimeoutError: it does not hold within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(_TICK)


@attrs.frozen
class Command:
    """What to run, in which folder; the environment is all that the program gets."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = attrs.field(repr=False)
    folder: Path

    def run(self, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run it to its end, whatever its exit status.

        :raises subprocess.TimeoutExpired: it did not end in time, and has been killed.
        """
        return subprocess.run(
            self.arguments,
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )


def inherited(**variables: str) -> dict[str, str]:
    """An environment: the few variables of ours that any program needs, and these."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | variables


@attrs.define
class Daemon:
    """A program that runs until it is stopped, in a session of its own."""

    log: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, command: Command, log: Path) -> Self:
        """Start it; what it prints is appended to the log."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                command.arguments,
                env=command.environment,
                cwd=command.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return cls(log, process)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def tail(self, lines: int = 30) -> str:
        """The end of its log, as long as there is one."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def wait_until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Return as soon as a condition holds that this program is to bring about.

        :raises RuntimeError: the program ended, or took too long; the text ends with its log.
        """
        try:
            wait_until(lambda: not self.running or condition(), seconds, what)
        except TimeoutError as error:
            raise RuntimeError(f"{error}\n{self.tail()}") from error
        if not self.running:
            raise RuntimeError(f"ended before {what}: status {self.process.returncode}\n{self.tail()}")

    def stop(self, seconds: float = 30) -> int:
        """End it with SIGTERM and give its exit status, negative for a signal.

        :raises RuntimeError: it did not end in time, and has been killed with all of its session's group.
        """
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise RuntimeError(f"still there {seconds} s after SIGTERM\n{self.tail()}") from error

    def kill(self) -> None:
        """End it, and nothing that it has started, with SIGKILL."""
        self.process.kill()
        self.process.wait()
