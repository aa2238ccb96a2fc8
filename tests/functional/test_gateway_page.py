"""The page about gateways, as an administrator follows it: both files and all commands, in their order.

Only addresses and folders are others than in the page.
"""

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import PROGRAMS
from farmkit.processes import LOOPBACK, Command, free_port, wait_until
from farmkit.published_client import Client
from tests.support.page_blocks import PageBlock, blocks

pytestmark = pytest.mark.functional

_SECS = 120  # on a busy machine; as a rule it is two
#: What logs say after a daemon was started, by its log, before an administrator goes on.
_AFTER = {
    "gateway.log": {"gateway.log": "not registering before the first worker is here"},
    "worker.log": {"worker.log": "asked for jobs from now on", "gateway.log": "registered with the scheduler"},
}


@attrs.define
class Administrator:
    """Who follows the page in a folder, beside a scheduler and a client.

    :ivar said: what the commands have printed.
    """

    folder: Path
    farm: Farm
    client: Client
    address: str = attrs.field(factory=lambda: f"{LOOPBACK}:{free_port()}")
    said: str = attrs.field(default="", init=False)
    _umask: int = attrs.field(default=0o022, init=False)

    def follow(self, block: PageBlock) -> None:
        """Write a file, or run commands."""
        text = self._here(block.text)
        if block.language == "toml":
            file = self.folder / f"{block.name}.conf"
            file.write_text(text)
            file.chmod(0o666 & ~self._umask)
        else:
            for command in text.splitlines():
                self._run(command)

    def _here(self, text: str) -> str:
        for theirs, ours in {
            "203.0.113.7:10501": self.address,
            "https://farm.example.org": self.farm.scheduler_url,
            "scheduler.conf": str(self.farm.folder / "scheduler" / "scheduler.conf"),
            "/var/cache/sccache": str(self.folder / "gateway-cache"),
            "/var/lib/sccachedist-worker": str(self.folder / "worker"),
        }.items():
            text = text.replace(theirs, ours)
        return text

    def _run(self, command: str) -> None:
        if command.startswith("umask "):
            self._umask = int(command.split()[1], 8)
        script = f"umask {self._umask:03o}; {command}"
        ended = Command(("/bin/sh", "-ec", script), self.environment, self.folder).run(_SECS)
        assert ended.returncode == 0, (command, ended)
        self.said += ended.stdout
        for log, texts in _AFTER.items():
            if f"--logfile {log} " in command:
                wait_until(partial(self._have_logged, texts), _SECS, command)

    @property
    def environment(self) -> dict[str, str]:
        """That of the client, and the programs of the package."""
        path = f"{Path(sys.executable).parent}:{PROGRAMS}:{os.environ['PATH']}"
        return self.client.environment | {"PATH": path}

    def _have_logged(self, texts: Mapping[str, str]) -> bool:
        files = {self.folder / log: text for log, text in texts.items()}
        return all(file.exists() and text in file.read_text() for file, text in files.items())

    def stop(self) -> None:
        """End what twistd has put into the background."""
        for file in (self.folder / "worker.pid", self.folder / "gateway.pid"):
            with contextlib.suppress(FileNotFoundError):
                os.kill(int(file.read_text()), signal.SIGTERM)
                wait_until(partial(_is_gone, file), _SECS, f"{file.name} is gone")


def _is_gone(file: Path) -> bool:
    return not file.exists()


@pytest.fixture
def administrator(tmp_path: Path) -> Iterator[Administrator]:
    """There is a scheduler without build servers, and a client of it."""
    (tmp_path / "farm").mkdir()
    farm = Farm(tmp_path / "farm")
    with contextlib.ExitStack() as running:
        running.callback(farm.stop)
        farm.start_scheduler()
        client = Client(tmp_path / "client", farm.scheduler_url, farm.client_token, tmp_path / "toolchains")
        running.enter_context(client)
        (tmp_path / "here").mkdir()
        administrator = Administrator(tmp_path / "here", farm, client)
        running.callback(administrator.stop)
        yield administrator


def test_the_page_of_gateways(administrator: Administrator) -> None:
    """A gateway and a worker start, nothing fails for the doctor, and a compile runs there. No secret is told."""
    for block in blocks("gateway"):
        administrator.follow(block)
    assert "FAILED" not in administrator.said
    assert re.search(rf"{administrator.address} +open .*\(1 worker\)", administrator.said), administrator.said
    (administrator.folder / "hello.c").write_text("int main(void) { return 0; }\n")
    compiling = administrator.client.compiling(("gcc", "-c", "hello.c", "-o", "hello.o"), administrator.folder)
    assert compiling.run(_SECS).returncode == 0
    assert administrator.client.statistics().remote == {administrator.address: 1}
    logs = [log.read_text() for log in administrator.folder.glob("*.log")]
    assert len(logs) == len(_AFTER)
    assert [log for log in logs if "holds a secret" in log or "Traceback" in log] == []
    assert "PRIVATE KEY" not in (administrator.folder / "gateway.pem").read_text()
