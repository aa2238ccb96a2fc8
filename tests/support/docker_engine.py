"""A Docker engine of the suite's own, with one image in it: nothing is pulled, nothing of the machine's is touched."""

import contextlib
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from farmkit.processes import Command, Daemon, wait_until
from sccachedist.config.settings import DockerSettings
from tests.sandbox.archives import BUSYBOX, file, member, tar
from tests.support.processes import running

_START_SECS = 60


@attrs.frozen
class DockerEngine:
    """A running engine; its socket is all that others need."""

    home: Path
    _arguments: tuple[str, ...]
    _daemons: contextlib.ExitStack

    @property
    def environment(self) -> dict[str, str]:
        """What a ``docker`` program needs to find it."""
        return {"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{self.home}/socket"}

    @property
    def process(self) -> int:
        """The number of its process, whose networks are those of its containers."""
        return int((self.home / "pid").read_text())

    def docker(self, *arguments: str, stdin: bytes = b"") -> str:
        """What it answers."""
        done = subprocess.run(
            ["docker", *arguments], input=stdin, capture_output=True, env=self.environment, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def answers(self) -> bool:
        """Whether it is ready."""
        asked = subprocess.run(["docker", "info"], capture_output=True, env=self.environment, check=False)
        return b"Server Version" in asked.stdout

    def start(self) -> None:
        """Start it, and wait until it answers."""
        daemon = Daemon.start(Command(self._arguments, self.environment, self.home), self.home / "log")
        self._daemons.callback(daemon.stop)
        daemon.wait_until(self.answers, _START_SECS, "docker answers")

    def kill(self) -> None:
        """Kill it, but no container. Its containerd ends then, and would be taken for another one's until it has."""
        os.kill(self.process, signal.SIGKILL)
        wait_until(lambda: not running(f"{self.home}/exec/containerd/containerd.toml"), _START_SECS, "docker is gone")
        for name in ("pid", "exec/containerd/containerd.pid"):  # of processes that init may not have waited for yet
            (self.home / name).unlink(missing_ok=True)

    def ours(self) -> list[str]:
        """Every container there is, and every image but the base."""
        lines = self.docker("ps", "--all", "--format", "{{.Names}}").split()
        images = self.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        return sorted([*lines, *(image for image in images if image != DockerSettings().image)])


@contextlib.contextmanager
def docker_engine(*options: str, has_network: bool = False) -> Iterator[DockerEngine]:
    """Start an engine with the default base image, and end it with all that it has.

    :param has_network: whether it may make networks for containers, in a network of its own.
    """
    home = Path(tempfile.mkdtemp(prefix="engine-"))
    arguments = (
        *(("unshare", "--mount", "--net") if has_network else ("unshare", "--mount")),  # what it leaves is gone with it
        "dockerd",
        *("--data-root", f"{home}/data", "--exec-root", f"{home}/exec", "--pidfile", f"{home}/pid"),
        *("--bridge=none", "--iptables=false", "-H", f"unix://{home}/socket", *options),
    )
    try:
        with contextlib.ExitStack() as daemons:
            engine = DockerEngine(home, arguments, daemons)
            engine.start()
            base = tar(member("bin", tarfile.DIRTYPE, mode=0o755), file("bin/busybox", BUSYBOX.read_bytes(), 0o755))
            engine.docker("import", "-", DockerSettings().image, stdin=base)
            yield engine
            for container in engine.docker("ps", "--all", "--quiet").split():
                engine.docker("rm", "--force", container)
    finally:
        shutil.rmtree(home)
