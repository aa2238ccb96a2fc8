"""Each rotation of ``doc/rotation``, in turn, beside builds that go on: no compile fails, no build server is lost.

One farm with TLS and two build servers, whose secrets change while it works; then it moves. Another one, where all
build servers show one token.
"""

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PROGRAMS, adding, replacing
from farmkit.processes import Command, Daemon, free_port, inherited, wait_until
from farmkit.projects import Project, write_project
from farmkit.published_client import Client, share_toolchains
from sccachedist.auth.clients import digest_of
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.tokens import server_token
from tests.faults.build import SMALL
from tests.functional.conftest import running_farm
from tests.functional.test_tls import AUTHORITY, TlsFarm, trusting, write_certificate

pytestmark = pytest.mark.functional

_SECS = 120  # for what takes one or two on a machine that has nothing else to do
#: How many files are compiled after each step; "make rotations" has more of them.
_FILES = int(os.environ.get("SCCACHEDIST_ROTATION_FILES", "3"))


@attrs.define
class Building:
    """A client that compiles one file after the other, until it is to stop."""

    client: Client
    project: Project
    failed: list[str] = attrs.field(factory=list)
    ended: int = 0
    _stop: threading.Event = attrs.field(factory=threading.Event)
    _thread: threading.Thread = attrs.field(init=False)

    def __enter__(self) -> Self:
        self.client.__enter__()
        self._thread = threading.Thread(target=self._build)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.client.__exit__()

    def _build(self) -> None:
        while not self._stop.is_set():
            source = self.project.sources[self.ended % len(self.project.sources)]
            ended = self.client.compiling(self.project.compile_command(source), self.project.folder).run(_SECS)
            self.ended += 1
            if ended.returncode != 0:
                self.failed.append(ended.stderr)

    def goes_on(self, *, remotely: bool = True) -> None:
        """Wait until more files are compiled, by default on the farm; none may have failed until then."""
        before, remote = self.ended, self.client.statistics().total_remote
        wait_until(
            lambda: (
                bool(self.failed)
                or (self.ended >= before + _FILES and (not remotely or self.client.statistics().total_remote > remote))
            ),
            _SECS,
            "the build goes on",
        )
        assert self.failed == []


@attrs.define
class Changing:
    """A farm whose files are edited as an administrator does it."""

    farm: Farm
    others: list[Farm] = attrs.field(factory=list)

    def edit(self, of: Farm, role: str, *changes: tuple[str, str]) -> None:
        """Replace what patterns find in a configuration file."""
        config = of.folder / role / f"{role}.conf"
        text = config.read_text()
        for pattern, new in changes:
            text, count = re.subn(pattern, new, text, count=1, flags=re.MULTILINE)
            assert count == 1, pattern
        config.write_text(text)

    def reload(self, *changes: tuple[str, str]) -> str:
        """Edit the scheduler's file and have it read again; returns what the log says of that."""
        self.edit(self.farm, "scheduler", *changes)
        return read_again(self.farm.scheduler)

    def gives(self, server: Farm, token: str) -> None:
        """Write another token into a build server's file, and have it read again."""
        self.edit(server, "server", (r'^token = ".*"', f'token = "{token}"'))
        assert read_again(server.server) == "scheduler_auth.token has changed"

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What an administrator's command says."""
        config = str(self.farm.folder / "scheduler/scheduler.conf")
        program = (str(PROGRAMS / "sccachedist"), *arguments, "--config", config)
        return Command(program, inherited(), self.farm.folder).run(_SECS)

    def count(self, expected: int) -> None:
        """Wait until the scheduler counts so many build servers."""
        self.farm.scheduler.wait_until(
            lambda: self.farm.status().num_servers == expected, _SECS, f"{expected} build servers"
        )


def read_again(daemon: Daemon) -> str:
    """Have a daemon read its file again; returns what its log says of that."""
    told = "the configuration was read again: "
    before = daemon.log.read_text().count(told)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_until(lambda: daemon.log.read_text().count(told) > before, _SECS, "the file is read")
    return daemon.log.read_text().rpartition(told)[2].splitlines()[0]


def restart(server: Farm) -> None:
    """End a build server when its jobs have ended, and start it with the file as the farm has it now."""
    server.server.stop(_SECS)
    server.launch_only_server()


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[Changing]:
    """A scheduler with TLS, and two build servers."""
    folder = tmp_path / "farm"
    folder.mkdir()
    (folder / "authority.pem").write_bytes(AUTHORITY.pem)
    write_certificate(folder)
    (folder / "clients.toml").touch()
    server = adding(trusting(OUR_SERVER, folder / "authority.pem"), heartbeat="secs = 1", capacity="cpus = 2")
    settings = f"""
[clients]
file = "../clients.toml"
grace_secs = 0

[admin]
token = "the-administrators-token"

[metrics]
token = "the-token-of-metrics"

[web]
viewer_token = "the-viewers-token"

[tls]
certificate = "{folder / "scheduler.pem"}"
private_key = "{folder / "scheduler.key"}"
"""
    first = TlsFarm(folder, launch_server=server, scheduler_settings=settings)
    with first:
        (folder / "second").mkdir()
        second = first.beside(folder / "second", server)
        changing = Changing(first, [second])
        try:
            second.launch_only_server()
            changing.count(2)
            yield changing
        finally:
            for each in changing.others:
                each.stop()
    shutil.rmtree(folder)


def building(farm: Farm, folder: Path, all_toolchains: Path, token: str) -> Building:
    """A build by one more client."""
    folder.mkdir()
    toolchains = share_toolchains(all_toolchains, folder / "toolchains")
    trust = {"SSL_CERT_FILE": str(farm.folder / "authority.pem")}
    client = Client(folder / "client", farm.scheduler_url, token, toolchains, variables=trust)
    return Building(client, write_project(folder / "project", SMALL, 7))


def test_rotations_beside_a_build(changing: Changing, all_toolchains: Path, tmp_path: Path) -> None:
    """Client token, certificate, key of build servers, one server revoked, a server moved, the scheduler moved."""
    farm, (second,) = changing.farm, changing.others
    with building(farm, tmp_path / "old", all_toolchains, farm.client_token) as build:
        build.goes_on()
        of_clients(changing, build, tmp_path / "new", all_toolchains)
    with building(farm, tmp_path / "next", all_toolchains, farm.client_token) as build:
        certificate(changing, build)
        of_administrators(changing, build)
        of_a_name(changing, tmp_path, all_toolchains)
        of_servers(changing, build)
        revoked(changing, build)
        server_moves(changing, build)
        scheduler_moves(changing, build, tmp_path / "there", all_toolchains)
    log = farm.scheduler.log.read_text()
    assert "silent" not in log
    assert "Traceback" not in log + farm.server.log.read_text() + second.server.log.read_text()


def of_clients(changing: Changing, build: Building, folder: Path, all_toolchains: Path) -> None:
    """Clients with the old token and with the new one compile side by side; then only the new one is good."""
    farm, old = changing.farm, changing.farm.client_token
    farm.client_token = "the-next-token-of-all-clients"
    told = changing.reload((rf'^token = "{old}"', f'token = "{farm.client_token}"\nprevious_token = "{old}"'))
    assert told == "client_auth.token, client_auth.previous_token have changed"
    build.goes_on()
    with building(farm, folder, all_toolchains, farm.client_token) as other:
        other.goes_on()
    assert "client 127.0.0.1 shows a token from before client_auth.token" in farm.scheduler.log.read_text()
    build.__exit__()
    assert build.failed == []
    assert changing.reload((r'^previous_token = ".*"\n', "")) == "client_auth.previous_token has changed"


def certificate(changing: Changing, build: Building) -> None:
    """Those who connect see another one."""
    write_certificate(changing.farm.folder)
    changing.reload()
    build.goes_on()


def of_administrators(changing: Changing, build: Building) -> None:
    """No build depends on them: the old ones are refused, and the new ones are good."""
    old = changing.farm.folder / "old-token"
    old.write_text("the-administrators-token")
    told = changing.reload(
        (r'^token = "the-administrators-token"', 'token = "another-token-of-administrators"'),
        (r'^token = "the-token-of-metrics"', 'token = "another-token-of-metrics"'),
        (r'^viewer_token = ".*"', 'viewer_token = "another-token-of-viewers"'),
    )
    assert told == "admin.token, web.viewer_token, metrics.token have changed"
    assert changing.command("reload").returncode == 0
    refused = changing.command("reload", "--token-file", str(old))
    assert (refused.returncode, "does not take" in refused.stderr) == (1, True)
    build.goes_on()


def of_a_name(changing: Changing, folder: Path, all_toolchains: Path) -> None:
    """One client's token is exchanged, without the others; the old one goes when it is shown no longer."""

    def given(*arguments: str) -> str:
        ended = changing.command("client", *arguments)
        assert ended.returncode == 0, ended
        return ended.stdout.removesuffix("\n")

    old = given("add", "ann")
    with building(changing.farm, folder / "ann", all_toolchains, old) as build:
        build.goes_on()
        new = given("rotate", "ann", "--overlap", "14d")
        build.goes_on()
    with building(changing.farm, folder / "ann-later", all_toolchains, new) as build:
        build.goes_on()
        given("revoke", "ann", "--token", digest_of(old)[:8])
        build.goes_on()


def of_servers(changing: Changing, build: Building) -> None:
    """Each build server gets a token of the new key, one by a restart, one by a reload; then the old key goes."""
    key, (second,) = "A" * 43, changing.others
    told = changing.reload((r'^secret_key = "(.*)"', rf'secret_key = "{key}"\nprevious_secret_key = "\1"'))
    assert told == "server_auth.secret_key, server_auth.previous_secret_key have changed"
    changing.farm.server_key = second.server_key = bytes(32)
    restart(changing.farm)
    changing.count(2)
    build.goes_on()
    changing.gives(second, server_token(bytes(32), second.server_id))
    build.goes_on()
    assert changing.reload((r'^previous_secret_key = ".*"\n', "")) == "server_auth.previous_secret_key has changed"
    build.goes_on()
    assert changing.farm.status().num_servers == 2


def revoked(changing: Changing, build: Building) -> None:
    """It leaves at once, learns why, and is back when it is in the list no longer."""
    (server,), scheduler = changing.others, changing.farm.scheduler
    changing.reload((r"^(secret_key = .*)$", rf'\1\nrevoked = ["{server.server_id}"]'))
    assert changing.farm.status().num_servers == 1
    assert f"build server {server.server_id} is revoked and dropped" in scheduler.log.read_text()
    told = f"build server {server.server_id} is revoked: server_auth.revoked of the scheduler has it"
    server.server.wait_until(lambda: told in server.server.log.read_text(), _SECS, "it is told")
    build.goes_on()
    assert changing.reload((r"^revoked = .*\n", "")) == "server_auth.revoked has changed"
    changing.count(2)
    build.goes_on()


def test_one_token_of_all_build_servers(all_toolchains: Path, tmp_path: Path) -> None:
    """It is exchanged beside a build; a build server that still shows the old one would not be let in again."""
    folder, former, token = tmp_path / "farm", "the-first-token-of-servers", "the-next-token-of-servers"
    folder.mkdir()
    scheduler = replacing(OUR_SCHEDULER, server_auth=f'type = "token"\ntoken = "{former}"')
    scheduler = adding(scheduler, clients="grace_secs = 0")
    server = replacing(OUR_SERVER, scheduler_auth=f'type = "token"\ntoken = "{former}"')
    for farm in running_farm(Farm(folder, scheduler, adding(server, heartbeat="secs = 1"))):
        changing = Changing(farm)
        with building(farm, tmp_path / "client", all_toolchains, farm.client_token) as build:
            build.goes_on()
            changing.reload((f'^token = "{former}"', f'token = "{token}"\nprevious_token = "{former}"'))
            changing.gives(farm, token)
            build.goes_on()
            assert changing.reload((r'^previous_token = ".*"\n', "")) == "server_auth.previous_token has changed"
            build.goes_on()
            changing.reload((f'^token = "{token}"', rf'\g<0>\nrevoked = ["{farm.server_host}"]'))
            changing.count(0)
            build.goes_on(remotely=False)
            changing.reload((r"^revoked = .*\n", ""))
            changing.count(1)
            build.goes_on()


def server_moves(changing: Changing, build: Building) -> None:
    """A build server has another address: it takes its directory along, and has a token for the new one."""
    (server,) = changing.others
    server.server.stop(_SECS)
    server.server_port = free_port()
    server.launch_only_server()
    changing.count(2)
    build.goes_on()
    assert ServerId.parse(f"{server.server_host}:{server.server_port}") == server.server_id


def scheduler_moves(changing: Changing, build: Building, folder: Path, all_toolchains: Path) -> None:
    """Two schedulers, each with a build server; who still asks the old one when it has ended compiles at home."""
    there = attrs.evolve(changing.farm, folder=changing.farm.folder / "there", scheduler_port=free_port())
    there.folder.mkdir()
    for name in ("authority.pem", "clients.toml"):
        shutil.copy(changing.farm.folder / name, there.folder)
    there.start_scheduler()
    changing.others.append(there)
    server = changing.others[0]
    server.scheduler_port = there.scheduler_port
    restart(server)
    Changing(there).count(1)
    changing.count(1)
    build.goes_on()
    with building(there, folder, all_toolchains, there.client_token) as other:
        other.goes_on()
        changing.farm.scheduler.stop()
        build.goes_on(remotely=False)
        other.goes_on()
