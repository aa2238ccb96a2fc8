"""A terminal in which a program runs as if somebody sat there: keys are pressed, and what one sees is read."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import attrs


@attrs.frozen
class Terminal:
    """One of tmux, with a server of its own."""

    socket: Path

    @classmethod
    @contextlib.contextmanager
    def running(
        cls, socket: Path, command: Sequence[str], size: tuple[int, int], environment: Mapping[str, str] = os.environ
    ) -> Iterator[Self]:
        """A program on a terminal of so many columns and lines; what there is in the end is ended."""
        terminal = cls(socket)
        columns, height = map(str, size)
        terminal.tmux("-u", "new-session", "-d", "-x", columns, "-y", height, *command, environment=environment)
        try:
            yield terminal
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):  # it ends with its last program
                terminal.tmux("kill-server")

    def tmux(self, *arguments: str, environment: Mapping[str, str] = os.environ) -> str:
        """Tell tmux something; what it prints."""
        command = ("tmux", "-S", str(self.socket), "-f", "/dev/null", *arguments)
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    def press(self, *keys: str) -> None:
        """Press keys, by the names that tmux has for them; any other text is typed."""
        self.tmux("send-keys", *keys)

    @property
    def screen(self) -> str:
        """What one sees."""
        return self.tmux("capture-pane", "-p")

    @property
    def has_ended(self) -> bool:
        """Whether the program has."""
        try:
            self.tmux("has-session")
        except subprocess.CalledProcessError:
            return True
        return False
