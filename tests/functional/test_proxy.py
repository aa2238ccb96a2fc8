"""A scheduler behind a real nginx with TLS, for clients and for build servers, ours and the published one."""

import ssl
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PUBLISHED_SERVER, replacing
from farmkit.processes import LOOPBACK
from farmkit.projects import C, write_project
from farmkit.published_client import Client, Statistics
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import HEARTBEAT, Heartbeat
from tests.functional.conftest import running_farm
from tests.support.proxy import Certificate, Proxy

pytestmark = pytest.mark.functional

_SECRET = "hunter2"
_SHARED = f'type = "token"\ntoken = "{_SECRET}"'
_STRANGER = "127.0.0.66"

SERVERS = {
    "ours": (OUR_SERVER, LOOPBACK, ""),
    "ours-v6": (OUR_SERVER, "[::1]", "/"),
    "published": (PUBLISHED_SERVER, LOOPBACK, "/"),
    "published-v6": (PUBLISHED_SERVER, "[::1]", ""),
}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that runs, with or without a scheduler behind it."""
    proxy = Proxy(tmp_path_factory.mktemp("proxy"))
    with proxy.running():
        yield proxy


@pytest.fixture(params=SERVERS)
def farm(request: pytest.FixtureRequest, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm whose scheduler trusts the proxy, and whose build server goes through it."""
    launch, host, slash = SERVERS[request.param]
    scheduler = proxy.trusted(replacing(OUR_SCHEDULER, server_auth=_SHARED))
    server = proxy.before(replacing(launch, scheduler_auth=_SHARED), proxy.url(host) + slash)
    folder = tmp_path_factory.mktemp("farm")
    yield from running_farm(Farm(folder, scheduler, server, server_host=host, scheduler_port=proxy.scheduler_port))


def test_a_client_compiles_through_the_proxy(farm: Farm, proxy: Proxy, toolchains: Path, tmp_path: Path) -> None:
    """Build server and client reach the scheduler by https alone, and compiles are remote."""
    project = write_project(tmp_path / "project", C, 1)
    url = proxy.url("localhost")
    with Client(tmp_path / "client", url, farm.client_token, toolchains, variables=proxy.trust) as client:
        for source in project.sources:
            ended = client.compiling(project.compile_command(source), project.folder).run()
            assert ended.returncode == 0, ended
        assert client.statistics() == Statistics({str(farm.server_id): len(project.sources)}, errors=0)


@pytest.mark.parametrize("farm", ["ours"], indirect=True)
def test_a_stranger_cannot_speak_for_a_build_server(farm: Farm, proxy: Proxy) -> None:
    """With the shared token and an ``X-Real-IP`` of its own it is refused, directly and through the proxy."""
    certificate = farm.ask(f"server_certificate/{farm.server_id}")
    trusting = ssl.create_default_context(cafile=proxy.authority)
    for connection in (
        HTTPConnection(LOOPBACK, farm.scheduler_port, timeout=10, source_address=(_STRANGER, 0)),
        HTTPSConnection(LOOPBACK, proxy.port, timeout=10, source_address=(_STRANGER, 0), context=trusting),
    ):
        assert claim(connection, farm) == (401, 'Bearer error="invalid_bearer_token_mismatched_address"')
    assert farm.ask(f"server_certificate/{farm.server_id}") == certificate


@pytest.mark.parametrize("farm", ["ours"], indirect=True)
def test_a_browser_signs_in_and_follows(farm: Farm, proxy: Proxy) -> None:
    """As documented, a browser that tells only an origin is known to ask from our page, and is told things at once."""
    trusting = ssl.create_default_context(cafile=proxy.authority)
    with closing(HTTPSConnection("localhost", proxy.port, timeout=10, context=trusting)) as connection:
        form, kind = urlencode({"token": farm.client_token}), {"Content-Type": "application/x-www-form-urlencoded"}
        found, cookie = {}, ""
        for origin in (f"https://localhost:{proxy.port}", "https://localhost", "https://other.example"):
            connection.request("POST", "/login", form, kind | {"Origin": origin})
            answer = connection.getresponse()
            answer.read()
            found[origin] = answer.status
            cookie = answer.headers["Set-Cookie"] if answer.status == 204 else cookie
        assert list(found.values()) == [204, 403, 403]
        assert cookie.startswith("__Host-sccachedist=")
        connection.request("GET", "/api/v1/farm/events", headers={"Cookie": cookie.partition(";")[0]})
        lines = iter(connection.getresponse().readline, b"event: snapshot\n")
        assert any(line.startswith(b"id: ") for line in lines)


def claim(connection: HTTPConnection, farm: Farm) -> tuple[int, str | None]:
    """Status and challenge that a heartbeat in the name of the farm's build server is answered with."""
    pem = Certificate.make("localhost").pem
    digest = sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).digest()
    heartbeat = Heartbeat(bytes(32), 64, 1, digest, pem)
    headers = {
        "Authorization": f"Bearer {farm.server_id} {_SECRET}",
        "Content-Type": "application/octet-stream",
        "X-Real-IP": str(farm.server_id.host),
    }
    connection.request("POST", "/api/v1/scheduler/heartbeat_server", encode(HEARTBEAT, heartbeat), headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers["WWW-Authenticate"]
