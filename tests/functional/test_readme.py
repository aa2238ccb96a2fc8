"""The README, as a new user follows it: each file is written and each command is run as it stands there.

Only addresses and folders are others, and the secrets are those that its own commands print.
"""

import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.launch import CHECKOUT, PROGRAMS
from farmkit.processes import Command, Daemon, answers, free_port, inherited, wait_until

pytestmark = pytest.mark.functional

#: A fenced block: its language, its text.
_BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
#: A secret in a file, by the command that printed it.
_SECRET = re.compile(r"what (generate-[\w-]+) printed")


@attrs.define
class User:
    """Who follows the README in a folder of its own."""

    folder: Path
    scheduler_port: int = attrs.field(factory=free_port)
    server_port: int = attrs.field(factory=free_port)
    client_port: int = attrs.field(factory=free_port)
    _printed: dict[str, str] = attrs.field(factory=dict, init=False)
    _umask: int = attrs.field(default=0o022, init=False)
    _foreground: contextlib.ExitStack = attrs.field(factory=contextlib.ExitStack, init=False)

    def follow(self, before: str, language: str, text: str) -> None:
        """Do what a block says."""
        text = self._here(text)
        if language == "toml":
            self._write(before, _SECRET.sub(lambda found: self._printed[found[1]], text))
        else:
            for command in text.strip().splitlines():
                self._run(command.partition("#")[0].strip())

    def stop(self) -> None:
        """Leave nothing running."""
        self._shell("sccache --stop-server", expect_success=False)
        self._foreground.close()
        for role in ("scheduler", "server"):
            self._end(role)

    def _here(self, text: str) -> str:
        for theirs, ours in {
            "192.168.1.1:10600": f"127.0.0.1:{self.scheduler_port}",
            "192.168.1.2:10501": f"127.0.0.1:{self.server_port}",
            "/opt/sccachedist": str(self.folder / "opt"),
            "/var/lib/sccachedist": str(self.folder / "var"),
            "/usr/local/bin": str(self.folder / "links"),
            "~": str(self.folder),
            ".venv/bin/pytest": f"{sys.executable} -m pytest --collect-only --quiet -p no:cacheprovider",
        }.items():
            text = text.replace(theirs, ours)
        return text

    def _write(self, before: str, text: str) -> None:
        """The name of the file stands in the line before the block."""
        name = self._here(re.findall(r"`([^`]+)`", before)[-1])
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o666 & ~self._umask)

    def _run(self, command: str) -> None:
        if (umask := re.fullmatch(r"umask (\d+)", command)) is not None:
            self._umask = int(umask[1], 8)
            return
        role = re.match(r"(?:twistd|sccachedist) .*\b(scheduler|server)\.conf$", command)
        if role is None or " auth " in command:
            self._shell(command, expect_success="stop-server" not in command)
        else:
            self._start(role[1], command)

    def _start(self, role: str, command: str) -> None:
        """Start a role; one that runs already makes place, as only one can have the port."""
        self._end(role)
        if command.startswith("twistd"):
            self._shell(command)
        else:
            log = self.folder / f"{role}.foreground.log"
            daemon = Daemon.start(Command(tuple(command.split()), self.environment(), self.folder), log)
            self._foreground.callback(daemon.stop)
        port = {"scheduler": self.scheduler_port, "server": self.server_port}[role]
        wait_until(lambda: answers(port) and self._registered(role), 60, command)

    def _registered(self, role: str) -> bool:
        logs = [*self.folder.glob(f"{role}.log"), *self.folder.glob(f"{role}.foreground.log")]
        return role == "scheduler" or any("registered with" in log.read_text() for log in logs)

    def _end(self, role: str) -> None:
        """End the daemon that twistd has put into the background."""
        with contextlib.suppress(FileNotFoundError):
            pid = int((self.folder / f"{role}.pid").read_text())
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not (self.folder / f"{role}.pid").exists(), 30, f"the {role} has ended")

    def _shell(self, command: str, *, expect_success: bool = True) -> None:
        ended = Command(("/bin/sh", "-c", command), self.environment(), self._place(command)).run(300)
        assert ended.returncode == 0 or not expect_success, (command, ended)
        if (maker := re.search(r"auth (generate-[\w-]+)", command)) is not None:
            self._printed[maker[1]] = ended.stdout.strip()

    def _place(self, command: str) -> Path:
        """What is made of a checkout is made in a copy of this one."""
        return self.folder / "checkout" if "pip" in command or "pytest" in command else self.folder

    def environment(self) -> dict[str, str]:
        """A home of its own, and the programs that it has installed."""
        path = f"{self.folder}/opt/bin:{PROGRAMS}:{os.environ['PATH']}"
        return inherited(PATH=path, HOME=str(self.folder), SCCACHE_SERVER_PORT=str(self.client_port))


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """A user with a checkout and a source file."""
    left_out = shutil.ignore_patterns(".*", "build", "_build", "*.egg-info", "__pycache__")
    shutil.copytree(CHECKOUT, tmp_path / "checkout", ignore=left_out)
    (tmp_path / "links").mkdir()
    (tmp_path / "hello.c").write_text("int main(void) { return 0; }\n")
    user = User(tmp_path)
    yield user
    user.stop()


def test_every_command_of_the_readme(user: User) -> None:
    """Install, secrets, both roles in the background and in the foreground, the client, a remote compile."""
    readme = (CHECKOUT / "README.md").read_text()
    _, *blocks = _BLOCK.findall(readme)  # the first one is make's
    for language, text in blocks:
        before = readme[: readme.index(text)].splitlines()[-3]
        user.follow(before, language, text)
    assert (user.folder / "hello.o").exists()
    shown = Command(("sccache", "--show-stats"), user.environment(), user.folder).run()
    assert f"127.0.0.1:{user.server_port}" in shown.stdout
    assert [log for log in user.folder.glob("*.log") if "holds a secret" in log.read_text()] == []


def test_what_is_made_and_where_links_lead() -> None:
    """Each thing that the README has one make is there to be made, and each file that it points to is there."""
    readme = (CHECKOUT / "README.md").read_text()
    targets = set(re.findall(r"(?:^|`)make (\w+)", readme, re.MULTILINE))
    assert targets >= {"demo", "test", "unit", "doc", "bench"}
    for target in targets:
        known = Command(("make", "--dry-run", target), inherited(), CHECKOUT).run()
        assert known.returncode == 0, known
    files = re.findall(r"\]\((?!https?:)([^)#]+)", readme)
    assert [name for name in files if not (CHECKOUT / name).is_file()] == []
    pages = {f"doc/{path.name}" for path in (CHECKOUT / "doc").glob("*.rst")}
    assert pages - set(files) <= {"doc/index.rst", "doc/security-figures.rst"}
