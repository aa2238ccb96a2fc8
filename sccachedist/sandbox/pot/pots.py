"""The pots of a pot builder, by the ``pot`` and ``jexec`` programs: synchronous, for a sandbox worker.

A pot can be cloned when it has a snapshot; it is stopped when a snapshot is taken and when it goes back to one; none
can be destroyed that others are clones of. Its files are there whether it runs or not.
"""

from pathlib import Path

import attrs

from sccachedist.builders.worker_protocol import SANDBOX_PREFIX
from sccachedist.errors import BuildError
from sccachedist.sandbox.command import env_arguments
from sccachedist.sandbox.processes import Ended, call, called
from sccachedist.wire.messages import CompileCommand

IMAGE_PREFIX = "sccache-image-"

_ADVICE = "install pot, or correct builder.pot_cmd"
# No status tells of a directory that cannot be entered; a signal is never taken for a compile error.
_RUN = 'cd "$1" || kill -KILL $$; shift; exec /usr/bin/env "$@"'


@attrs.frozen
class Pots:
    """What the configuration says of pots.

    :param fs_root: where their files are.
    :param template: the one that others are cloned from.
    :param pot: the program.
    :param clone_arguments: more for each clone.
    """

    fs_root: str
    template: str
    pot: str
    clone_arguments: tuple[str, ...]

    def files(self, name: str) -> Path:
        """Where a pot's own root directory is."""
        return Path(self.fs_root, "jails", name, "m")

    def names(self) -> list[str]:
        """Every pot that the published builder or this one has made, those that are cloned last."""
        names = self._do("ls", "-q").decode(errors="replace").splitlines()
        return sorted(name for name in names if name.startswith((SANDBOX_PREFIX, IMAGE_PREFIX)))

    def clone(self, name: str, source: str) -> None:
        """Make a new pot."""
        self._do("clone", "-p", name, "-P", source, *self.clone_arguments)

    def snapshot(self, name: str) -> None:
        """Remember how a stopped pot is."""
        self._do("snapshot", "-p", name)

    def revert(self, name: str) -> None:
        """Make a stopped pot what it was."""
        self._do("revert", "-p", name)

    def start(self, name: str) -> None:
        """Start a pot; nothing runs in it yet."""
        self._do("start", "-p", name)

    def stop(self, name: str) -> None:
        """Kill all that runs in a pot."""
        self._do("stop", "-p", name)

    def destroy(self, name: str) -> None:
        """Remove a pot, running or not, or what is there of it."""
        if self.files(name).parent.exists():
            self._do("destroy", "-F", "-p", name)

    def run(self, name: str, command: CompileCommand, stdio_bytes: int) -> Ended:
        """Run a compile in a pot that runs, with its own variables alone.

        :raises BuildError: it cannot be run.
        :raises LimitExceeded: it writes too much.
        """
        run = ["/bin/sh", "-c", _RUN, "sh", command.cwd, *env_arguments(command)]
        ended = call(["jexec", name, *run], "this builder needs FreeBSD", stdio_bytes=stdio_bytes)
        if ended.stderr.startswith(b"jexec: "):
            raise BuildError(f"the sandbox did not run the command: {ended.last_words}")
        return ended

    def _do(self, *arguments: str) -> bytes:
        return called([self.pot, *arguments], _ADVICE)
