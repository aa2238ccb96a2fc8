"""``https`` to a port that speaks plain HTTP, and ``http`` to one that speaks TLS: each call of ours says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PROGRAMS, PUBLISHED_SCHEDULER, Launch, replacing
from farmkit.processes import Command, inherited
from farmkit.raw_client import RawClient
from tests.functional.test_tls import write_certificate

pytestmark = pytest.mark.functional

HTTP, TLS = "plain HTTP is spoken there, without TLS", "TLS is spoken there"


def secured(folder: Path) -> str:
    """The table of a scheduler that speaks TLS."""
    write_certificate(folder)
    return f'[tls]\ncertificate = "{folder / "scheduler.pem"}"\nprivate_key = "{folder / "scheduler.key"}"\n'


def to(url: str) -> Launch:
    """The same build server, with another URL of its scheduler."""

    def launch_to(config: Path) -> Command:
        lines = config.read_text().splitlines(keepends=True)
        config.write_text(f'scheduler_url = "{url}"\n' + "".join(x for x in lines if not x.startswith("scheduler_url")))
        return OUR_SERVER(config)

    return launch_to


@pytest.fixture(params=["plain", "tls", "published"])
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Farm, str, str]]:
    """A farm whose scheduler runs, the wrong URL of that, and what is wrong with it."""
    is_tls = request.param == "tls"
    farm = Farm(tmp_path, PUBLISHED_SCHEDULER if request.param == "published" else OUR_SCHEDULER)
    farm.scheduler_settings = '[admin]\ntoken = "hunter2"\n' if request.param != "published" else ""
    if is_tls:
        farm.scheduler_settings += secured(tmp_path)
    try:
        farm.start_scheduler()
        address = f"{farm.scheduler_host}:{farm.scheduler_port}"
        yield farm, f"http{'' if is_tls else 's'}://{address}", TLS if is_tls else HTTP
    finally:
        farm.stop()


def test_a_build_server(scheduler: tuple[Farm, str, str]) -> None:
    """It says why it does not register, much sooner than it gives an answer up."""
    farm, url, wrong = scheduler
    farm.launch_server = to(url)
    farm.launch_only_server()
    farm.server.wait_until(lambda: "no heartbeat" in farm.server.tail(), 15, "it says why")
    assert wrong in farm.server.tail()


def test_the_commands(scheduler: tuple[Farm, str, str], tmp_path: Path) -> None:
    """So do those that ask a scheduler."""
    farm, url, wrong = scheduler
    if farm.scheduler_settings:
        config = farm.folder / "scheduler" / "scheduler.conf"
        drained = run("drain", "127.0.0.1:1", "--config", str(config), "--scheduler", url)
        assert wrong in drained, drained
    farm.launch_server = to(url)
    farm.launch_only_server()
    looked = run("doctor", "--config", str(farm.server_folder / "server.conf"))
    assert wrong in looked, looked


def run(*arguments: str) -> str:
    """What a command of ours says."""
    ended = Command((str(PROGRAMS / "sccachedist"), *arguments), inherited(), Path("/")).run()
    return ended.stdout + ended.stderr


@pytest.mark.parametrize("kind", ["jwt_validate", "proxy_token"])
def test_services_that_know_clients(scheduler: tuple[Farm, str, str], tmp_path: Path, kind: str) -> None:
    """So does a scheduler about its identity provider and its token service."""
    url, wrong = scheduler[1:]
    table = {
        "jwt_validate": f'type = "jwt_validate"\naudience = "a"\nissuer = "i"\njwks_url = "{url}/keys"',
        "proxy_token": f'type = "proxy_token"\nurl = "{url}/tokens"',
    }[kind]
    (tmp_path / "another").mkdir()
    farm = Farm(tmp_path / "another", replacing(OUR_SCHEDULER, client_auth=table))
    try:
        farm.start_scheduler()
        RawClient.of(farm, strict=False).alloc("a" * 64)
        farm.scheduler.wait_until(lambda: wrong in farm.scheduler.tail(), 15, "it says why")
    finally:
        farm.stop()
