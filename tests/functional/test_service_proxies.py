"""Identity providers and token services that are behind a proxy or redirect, beside the published scheduler."""

import socket
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PUBLISHED_SCHEDULER, Launch
from farmkit.processes import LOOPBACK, Command, wait_until
from farmkit.projects import C, write_project
from farmkit.published_client import Client, share_toolchains
from tests.functional.conftest import compiles_remotely
from tests.functional.test_client_auth import AT_ONCE, gate_of, judged_at, keys_at
from tests.functional.test_doctor import config_of, doctor
from tests.support.forward_proxy import ForwardProxy
from tests.support.identity import IdentityProvider
from tests.support.liar import liar, response
from tests.support.proxy import Proxy

pytestmark = pytest.mark.functional

TOKEN = "the-good-token"
BOTH = pytest.mark.parametrize("scheduler", [AT_ONCE, PUBLISHED_SCHEDULER], ids=["ours", "published"])


def with_variables(launch: Launch, **variables: str) -> Launch:
    """A daemon with these in its environment."""

    def launch_with(config: Path) -> Command:
        command = launch(config)
        return attrs.evolve(command, environment={**command.environment, **variables})

    return launch_with


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """An identity provider that runs, and knows the token."""
    with IdentityProvider(opaque={TOKEN}) as provider:
        yield provider


@pytest.fixture
def proxy(provider: IdentityProvider) -> Iterator[ForwardProxy]:
    """A proxy behind which the provider has every name."""
    with ForwardProxy((LOOPBACK, provider.port)).running() as proxy:
        yield proxy


@BOTH
def test_a_token_service_behind_a_proxy(tmp_path: Path, proxy: ForwardProxy, scheduler: Launch) -> None:
    """By a name that the proxy alone can look up; the proxy gets its credentials, the service the token."""
    launch = with_variables(scheduler, http_proxy=f"http://us%40er:pass@{proxy.address}")
    auth = judged_at("http://service.invalid/check?x=1", 60)
    with gate_of(tmp_path, IdentityProvider(), auth, launch) as gate:
        assert (gate.knock(TOKEN), gate.knock("bad")) == (200, 401)
        assert "us%40er" not in gate.farm.scheduler.log.read_text()
        assert "pass" not in gate.farm.scheduler.log.read_text()
    assert set(proxy.lines) == {"GET http://service.invalid/check?x=1 HTTP/1.1"}
    assert proxy.headers("Host") == ["service.invalid"] * len(proxy.lines)
    assert set(proxy.headers("Proxy-Authorization")) == {"Basic dXNAZXI6cGFzcw=="}


@pytest.mark.parametrize(
    ("variables", "proxied"),
    [
        ({"HTTP_PROXY": "{proxy}", "http_proxy": "http://127.0.0.1:1"}, True),
        ({"ALL_PROXY": "{proxy}"}, True),
        ({"HTTPS_PROXY": "{proxy}"}, False),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "10.0.0.0/8,127.0.0.0/8"}, False),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "*"}, True),
        ({"HTTP_PROXY": "{proxy}", "REQUEST_METHOD": "GET"}, False),
        ({"HTTP_PROXY": "ftp://{proxy}"}, False),
    ],
)
@BOTH
def test_which_variables_count(
    tmp_path: Path,
    provider: IdentityProvider,
    proxy: ForwardProxy,
    scheduler: Launch,
    variables: dict[str, str],
    proxied: bool,
) -> None:
    """The same for either scheduler; a loopback address is no exception."""
    told = {name: value.format(proxy=proxy.address) for name, value in variables.items()}
    auth = judged_at(provider.url("check"), 60)
    with gate_of(tmp_path, provider, auth, with_variables(scheduler, **told)) as gate:
        assert gate.knock(TOKEN) == 200
        if scheduler is AT_ONCE:
            log = gate.farm.scheduler.log.read_text()
            assert (f"is asked through the proxy http://{proxy.address}" in log) is proxied
            assert ("HTTP_PROXY is ignored" in log) is ("ftp" in str(variables))
    assert bool(proxy.asked) is proxied


@pytest.mark.parametrize("kind", ["jwt_validate", "proxy_token"])
def test_a_provider_with_tls_behind_a_proxy(tmp_path: Path, provider: IdentityProvider, kind: str) -> None:
    """A tunnel, in which the provider's certificate is checked; the proxy hears no more than its name."""
    for folder in ("tls", "friend", "stranger"):
        (tmp_path / folder).mkdir()
    nginx = Proxy(tmp_path / "tls", provider.port)
    url = "https://localhost:8443"
    auth = {"jwt_validate": keys_at(f"{url}/keys"), "proxy_token": judged_at(f"{url}/check", 60)}[kind]
    token = provider.sign()
    provider.opaque.add(token)
    with nginx.running(), ForwardProxy((LOOPBACK, nginx.port)).running() as proxy:
        launch = with_variables(AT_ONCE, HTTPS_PROXY=f"http://user:pass@{proxy.address}")
        with gate_of(tmp_path / "stranger", provider, auth, launch) as gate:
            assert gate.knock(token) == 503
        with gate_of(tmp_path / "friend", provider, auth, nginx.trusting(launch)) as gate:
            wait_until(lambda: gate.knock(token) == 200, 20, "the provider is asked")
            assert gate.knock(f"x{token}") == 401
    assert set(proxy.lines) == {"CONNECT localhost:8443 HTTP/1.1"}
    assert set(proxy.headers("Proxy-Authorization")) == {"Basic dXNlcjpwYXNz"}
    assert proxy.headers("Authorization") == []


REFUSALS = {
    "credentials": (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "status 407"),
    "a bad gateway": (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "status 502"),
    "garbage": (b"\0\1\2\r\n\r\n", "through the proxy"),
    "an endless head": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 21), "through the proxy"),
    "nothing": (b"", "through the proxy"),
}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(("refusal", "said"), REFUSALS.values(), ids=REFUSALS)
def test_a_proxy_that_fails(
    tmp_path: Path, provider: IdentityProvider, proxy: ForwardProxy, refusal: bytes, said: str, scheme: str
) -> None:
    """No client is let in nor refused, and one line names the proxy and what is wrong."""
    proxy.refusal = refusal
    launch = with_variables(AT_ONCE, ALL_PROXY=f"http://user:pass@{proxy.address}")
    with gate_of(tmp_path, provider, judged_at(f"{scheme}://service.invalid/check", 60), launch) as gate:
        assert gate.knock(TOKEN) == 503
        (line,) = [line for line in gate.farm.scheduler.log.read_text().splitlines() if "cannot be checked:" in line]
    assert f"GET {scheme}://service.invalid/check through the proxy http://{proxy.address}: " in line
    assert said in line
    assert "pass" not in line


@attrs.define
class Countdown:
    """A server that sends from each number to the one below, and is content at zero."""

    tokens: list[str] = attrs.field(factory=list)

    def answer(self, connection: socket.socket) -> None:
        head = connection.recv(1 << 16).decode()
        self.tokens += [
            line.partition(": ")[2] for line in head.split("\r\n") if line.lower().startswith("authorization")
        ]
        number = int(head.split(" ")[1].removeprefix("/"))
        status, where = (b"302 Found", b"Location: /%d" % (number - 1)) if number else (b"200 OK", b"X: y")
        connection.sendall(
            b"\r\n".join((b"HTTP/1.1 " + status, where, b"Content-Length: 0", b"Connection: close", b"", b""))
        )


@pytest.mark.parametrize(("count", "is_let_in"), [(10, True), (11, False)])
@BOTH
def test_redirects_to_the_same_server(tmp_path: Path, scheduler: Launch, count: int, is_let_in: bool) -> None:
    """Ten at most, each with the token."""
    countdown, refused = Countdown(), 503 if scheduler is AT_ONCE else 401
    with liar(countdown.answer) as port:
        auth = judged_at(f"http://127.0.0.1:{port}/{count}", 60)
        with gate_of(tmp_path, IdentityProvider(), auth, scheduler) as gate:
            assert gate.knock(TOKEN) == (200 if is_let_in else refused)
    assert countdown.tokens == [f"Bearer {TOKEN}"] * 11


@BOTH
def test_a_redirect_to_another_server(tmp_path: Path, provider: IdentityProvider, scheduler: Launch) -> None:
    """It is shown no token, so it cannot accept it."""
    elsewhere = response(b"", b"Location: " + provider.url("check").encode(), status=b"307 Temporary Redirect")
    with (
        liar(elsewhere) as port,
        gate_of(tmp_path, provider, judged_at(f"http://127.0.0.1:{port}/", 60), scheduler) as gate,
    ):
        assert gate.knock(TOKEN) == 401
    assert provider.asked == ["/check"]


def test_keys_after_a_redirect(tmp_path: Path, provider: IdentityProvider) -> None:
    """They are as good as those that are there at once, and the doctor finds them too."""
    elsewhere = response(b"", b"Location: " + provider.url("keys").encode(), status=b"301 Moved Permanently")
    with liar(elsewhere) as port, gate_of(tmp_path, provider, keys_at(f"http://127.0.0.1:{port}/")) as gate:
        wait_until(lambda: gate.knock(provider.sign()) == 200, 20, "the keys are fetched")
        _, lines = doctor(config_of(gate.farm, "scheduler"))
    assert lines["client_auth.jwks_url"] == "ok it has 1 key"


def test_the_doctor_asks_through_the_proxy(tmp_path: Path, provider: IdentityProvider, proxy: ForwardProxy) -> None:
    """As the scheduler does; its own scheduler it asks directly."""
    with gate_of(tmp_path, provider, judged_at("http://service.invalid/check", 60)) as gate:
        config = config_of(gate.farm, "scheduler")
        _, lines = doctor(config, HTTP_PROXY=f"http://{proxy.address}")
        assert lines["client_auth.url"] == "ok it answers, 403 to who shows no token"
        assert lines["public_addr"].startswith("ok ")
        assert proxy.lines == ["GET http://service.invalid/check HTTP/1.1"]
        _, lines = doctor(config, HTTP_PROXY="http://127.0.0.1:1")
        assert lines["client_auth.url"].startswith("FAILED ")
        assert "through the proxy http://127.0.0.1:1" in lines["client_auth.url"]


def test_no_call_between_daemons_goes_through_a_proxy(
    tmp_path: Path, proxy: ForwardProxy, all_toolchains: Path
) -> None:
    """A farm whose daemons are told to use one compiles without it."""
    told = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"), f"http://{proxy.address}")
    (tmp_path / "farm").mkdir()
    farm = Farm(tmp_path / "farm", with_variables(OUR_SCHEDULER, **told), with_variables(OUR_SERVER, **told))
    toolchains = share_toolchains(all_toolchains, tmp_path / "toolchains")
    with farm, Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains) as client:
        compiles_remotely(farm, client, write_project(tmp_path / "project", C, 2))
    assert proxy.asked == []
