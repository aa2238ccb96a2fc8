"""Calls the ``pot`` and ``jexec`` programs for a pot builder: synchronous, for a sandbox worker.

A pot can be cloned when it has a snapshot. It must be stopped to take a snapshot and to revert to one. A pot that has
clones cannot be destroyed. Its files are there whether it runs or not. When each call comes is not known here.
"""

from pathlib import Path

import attrs

from sccachedist.builders.worker_protocol import SANDBOX_PREFIX
from sccachedist.errors import BuildError
from sccachedist.outcomes import SentLocal
from sccachedist.sandbox.command import env_arguments
from sccachedist.sandbox.processes import Ended, call, called
from sccachedist.wire.messages import CompileCommand

IMAGE_PREFIX = "sccache-image-"

_ADVICE = "install pot, or correct builder.pot_cmd"
# If cd fails, the shell kills itself: any exit status could be the compile's, a signal never counts as a compile error.
_RUN = 'cd "$1" || kill -KILL $$; shift; exec /usr/bin/env "$@"'


@attrs.frozen
class Pots:
    """The pots of one builder.

    :param ending: of the names of its pots: which run of a builder has made them.
    :param fs_root: the directory of their files.
    :param template: the pot that toolchains' pots are cloned from.
    :param pot: the ``pot`` program.
    :param clone_arguments: more arguments for each ``pot clone``.
    """

    ending: str
    fs_root: str
    template: str
    pot: str
    clone_arguments: tuple[str, ...]

    def files(self, name: str) -> Path:
        """Return a pot's root directory."""
        return Path(self.fs_root, "jails", name, "m")

    def image(self, toolchain: str) -> str:
        """Return the name of a toolchain's pot."""
        return f"{IMAGE_PREFIX}{toolchain}-{self.ending}"

    def clone_of(self, sandbox: str) -> str:
        """Return the name of a sandbox's pot."""
        return f"{sandbox}-{self.ending}"

    def of_others(self) -> list[str]:
        """Return every pot that the published builder or another run has made; those that have clones come last."""
        names = self._do("ls", "-q").decode(errors="replace").splitlines()
        builders = (name for name in names if name.startswith((SANDBOX_PREFIX, IMAGE_PREFIX)))
        return sorted(name for name in builders if not name.endswith(f"-{self.ending}"))

    def clone(self, name: str, source: str) -> None:
        """Make a new pot."""
        self._do("clone", "-p", name, "-P", source, *self.clone_arguments)

    def snapshot(self, name: str) -> None:
        """Take a snapshot of a stopped pot."""
        self._do("snapshot", "-p", name)

    def revert(self, name: str) -> None:
        """Revert a stopped pot to its snapshot."""
        self._do("revert", "-p", name)

    def start(self, name: str) -> None:
        """Start a pot, in which nothing runs yet."""
        self._do("start", "-p", name)

    def stop(self, name: str) -> None:
        """Kill all that runs in a pot."""
        self._do("stop", "-p", name)

    def destroy(self, name: str) -> None:
        """Remove a pot, running or not, or an incomplete one."""
        if self.files(name).parent.exists():
            self._do("destroy", "-F", "-p", name)

    def run(self, name: str, command: CompileCommand, stdio_bytes: int) -> Ended:
        """Run a compile in a running pot, with the command's variables only.

        :raises BuildError: it cannot be run.
        :raises LimitExceeded: it writes too much.
        """
        run = ["/bin/sh", "-c", _RUN, "sh", command.cwd, *env_arguments(command)]
        ended = call(["jexec", name, *run], "this builder needs FreeBSD", stdio_bytes=stdio_bytes)
        if ended.stderr.startswith(b"jexec: "):
            raise BuildError(SentLocal.SANDBOX, f"the sandbox did not run the command: {ended.last_words}")
        return ended

    def _do(self, *arguments: str) -> bytes:
        return called([self.pot, *arguments], _ADVICE)
