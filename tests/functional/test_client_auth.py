"""Every kind of authentication, with the published client, and whom a scheduler lets in by the word of others."""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from farmkit.farm import Farm
from farmkit.launch import INSECURE, OUR_SCHEDULER, OUR_SERVER, Launch, adding, replacing
from farmkit.processes import wait_until
from farmkit.projects import C, write_project
from farmkit.published_client import Client
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import TOOLCHAIN, Toolchain
from tests.functional.conftest import compiles_remotely, running_farm
from tests.support.identity import AUDIENCE, ISSUER, IdentityProvider
from tests.support.proxy import Proxy

pytestmark = pytest.mark.functional

_HOUR = 3600


def shared(token: str) -> str:
    return f'type = "token"\ntoken = "{token}"'


def jwt_validate(provider: IdentityProvider) -> str:
    return keys_at(provider.url("keys"))


def keys_at(url: str) -> str:
    return f"""\
type = "jwt_validate"
audience = "{AUDIENCE}"
issuer = "{ISSUER}"
jwks_url = "{url}\""""


def proxy_token(provider: IdentityProvider, cache_secs: int) -> str:
    return judged_at(provider.url("check"), cache_secs)


def judged_at(url: str, cache_secs: int) -> str:
    return f'type = "proxy_token"\nurl = "{url}"\ncache_secs = {cache_secs}'


def insecure_clients(folder: Path, _: IdentityProvider) -> Farm:
    """Clients with the token that everybody knows, build servers with a shared one."""
    scheduler = replacing(OUR_SCHEDULER, client_auth=INSECURE, server_auth=shared("hunter2"))
    server = replacing(OUR_SERVER, scheduler_auth=shared("hunter2"))
    return Farm(folder, scheduler, server, client_token="dangerously_insecure_client")


def insecure_servers(folder: Path, _: IdentityProvider) -> Farm:
    """Clients with a shared token, build servers with the one that everybody knows."""
    scheduler = replacing(OUR_SCHEDULER, server_auth=INSECURE)
    return Farm(folder, scheduler, replacing(OUR_SERVER, scheduler_auth=INSECURE))


def logged_in_clients(folder: Path, provider: IdentityProvider) -> Farm:
    """Clients with the provider's tokens, build servers with tokens of their own."""
    scheduler = replacing(OUR_SCHEDULER, client_auth=jwt_validate(provider))
    return Farm(folder, scheduler, client_token=provider.log_in())


def judged_clients(folder: Path, provider: IdentityProvider) -> Farm:
    """Clients with tokens that the provider alone understands, build servers with tokens of their own."""
    farm = Farm(folder, replacing(OUR_SCHEDULER, client_auth=proxy_token(provider, 60)))
    provider.opaque.add(farm.client_token)
    return farm


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """An identity provider that runs."""
    with IdentityProvider() as provider:
        yield provider


@pytest.fixture
def farm(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, provider: IdentityProvider
) -> Iterator[Farm]:
    """A farm with one kind of authentication."""
    yield from running_farm(request.param(tmp_path_factory.mktemp("farm"), provider))


@pytest.mark.parametrize("farm", [insecure_clients, insecure_servers, logged_in_clients, judged_clients], indirect=True)
def test_a_client_compiles_with_each_kind(farm: Farm, client: Client, tmp_path: Path) -> None:
    """The published client's compiles are done by the build server, and no token gets into a log."""
    compiles_remotely(farm, client, write_project(tmp_path / "project", C, 2))
    logs = farm.scheduler.log.read_text() + farm.server.log.read_text()
    assert "hunter2" not in logs
    assert farm.client_token not in logs


@pytest.mark.parametrize(
    ("farm", "warned"),
    [
        pytest.param(insecure_clients, ["client_auth"], id="clients"),
        pytest.param(insecure_servers, ["server_auth", "scheduler_auth"], id="servers"),
    ],
    indirect=["farm"],
)
def test_insecure_authentication_is_warned_of(farm: Farm, warned: list[str]) -> None:
    """Each daemon that is configured without protection says so when it starts."""
    logs = farm.scheduler.log.read_text() + farm.server.log.read_text()
    assert re.findall(r"#warn\] (\w+) is DANGEROUSLY_INSECURE", logs) == warned


#: Our scheduler, which does not let clients wait for a first build server.
AT_ONCE = adding(OUR_SCHEDULER, queue="settle_secs = 0")


@attrs.define
class Gate:
    """A scheduler without build servers, and the provider that it asks about clients."""

    farm: Farm
    provider: IdentityProvider

    def knock(self, token: str | None) -> int:
        """The status that an allocation is answered with: 200 is for those who may, also where there is no room."""
        headers = {"Content-Type": "application/octet-stream", "Connection": "close"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection = HTTPConnection("127.0.0.1", self.farm.scheduler_port, timeout=30)
        connection.request("POST", "/api/v1/scheduler/alloc_job", encode(TOOLCHAIN, Toolchain("a" * 64)), headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    def fetches(self) -> int:
        """How often the keys were fetched."""
        return self.provider.asked.count("/keys")


@contextmanager
def gate_of(folder: Path, provider: IdentityProvider, client_auth: str, scheduler: Launch = AT_ONCE) -> Iterator[Gate]:
    """A gate that stands for a while."""
    farm = Farm(folder, replacing(scheduler, client_auth=client_auth))
    farm.start_scheduler()
    try:
        yield Gate(farm, provider)
    finally:
        farm.stop()


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """A scheduler that lets in those who have a token of the provider."""
    folder = tmp_path_factory.mktemp("signed")
    with IdentityProvider() as provider, gate_of(folder, provider, jwt_validate(provider)) as gate:
        yield gate


@pytest.fixture
def judged(tmp_path: Path, provider: IdentityProvider) -> Iterator[Gate]:
    """A scheduler that lets in those whom the provider accepts, and remembers them for a while."""
    with gate_of(tmp_path, provider, proxy_token(provider, _HOUR)) as gate:
        yield gate


def by_hand(provider: IdentityProvider, algorithm: str, secret: bytes | None) -> str:
    """A token that is good but for its algorithm, and signed with an HMAC or not at all."""
    header = {"typ": "JWT", "alg": algorithm, "kid": provider.kid}
    claims = {"aud": AUDIENCE, "iss": ISSUER, "exp": int(time.time()) + _HOUR}
    text = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{_base64(hmac.digest(secret, text.encode(), hashlib.sha256) if secret else b'')}"


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def public_pem(provider: IdentityProvider) -> bytes:
    return provider.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


FORGERIES: dict[str, Callable[[IdentityProvider], str | None]] = {
    "no token": lambda _: None,
    "no JWT": lambda _: "hunter2",
    "algorithm none": lambda provider: by_hand(provider, "none", None),
    "HS256 with the public key": lambda provider: by_hand(provider, "HS256", public_pem(provider)),
    "RS256 with an HMAC": lambda provider: by_hand(provider, "RS256", public_pem(provider)),
    "RS512": lambda provider: provider.sign(algorithm="RS512"),
    "another key": lambda provider: provider.sign(key=generate_private_key(65537, 2048)),
    "another audience": lambda provider: provider.sign(aud="another farm"),
    "another issuer": lambda provider: provider.sign(iss="https://id.example.org/"),
    "expired": lambda provider: provider.sign(exp=time.time() - _HOUR),
    "not yet": lambda provider: provider.sign(nbf=time.time() + _HOUR),
    "unknown key": lambda provider: provider.sign(kid="unknown"),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_token_is_refused(signed: Gate, forge: Callable[[IdentityProvider], str | None]) -> None:
    """A user who has no token of the provider for this farm and this hour is refused; who has one is let in."""
    assert signed.knock(forge(signed.provider)) == 401
    assert signed.knock(signed.provider.log_in()) == 200


def test_a_provider_that_is_not_there_and_keys_that_change(tmp_path: Path) -> None:
    """In an outage at start nobody is let in nor refused; afterwards new keys count at once, old ones no more."""
    provider = IdentityProvider()
    with gate_of(tmp_path, provider, jwt_validate(provider)) as gate:
        assert gate.knock(provider.sign()) == 503
        assert "no keys to check client tokens with" in gate.farm.scheduler.tail()
        with provider:
            first = provider.log_in()
            wait_until(lambda: gate.knock(first) == 200, 20, "the keys are fetched")
            provider.change_key("second")
            second = provider.log_in()
            assert gate.knock(second) == 200
            assert gate.fetches() == 2
            for kid in ("first", "third", "fourth"):
                assert gate.knock(provider.sign(kid=kid)) == 401
            assert gate.knock(first) == 401
            assert gate.fetches() == 2
        assert gate.knock(second) == 200
        log = gate.farm.scheduler.log.read_text()
        assert first not in log
        assert second not in log


def test_a_token_service_decides(judged: Gate) -> None:
    """Its refusal counts for a moment, its good word for a while, and its silence for neither."""
    judged.provider.opaque.add("good")
    assert [judged.knock(token) for token in ("bad", "bad", "good", "good", None)] == [401, 401, 200, 200, 401]
    assert len(judged.provider.asked) == 2
    wait_until(lambda: judged.knock("bad") == 401 and len(judged.provider.asked) == 3, 10, "it is asked again")
    judged.provider.stop()
    assert [judged.knock(token) for token in ("worse", "good")] == [503, 200]


@pytest.mark.parametrize("kind", ["jwt_validate", "proxy_token"])
def test_a_provider_behind_tls(tmp_path: Path, provider: IdentityProvider, kind: str) -> None:
    """Its word counts where its certificate is trusted; where it is not, nobody is let in nor refused."""
    provider.opaque.add(token := provider.sign())
    for folder in ("proxy", "stranger", "friend"):
        (tmp_path / folder).mkdir()
    proxy = Proxy(tmp_path / "proxy", provider.port)
    host = f"https://localhost:{proxy.port}"
    client_auth = {"jwt_validate": keys_at(f"{host}/keys"), "proxy_token": judged_at(f"{host}/check", 60)}[kind]
    with proxy.running():
        with gate_of(tmp_path / "stranger", provider, client_auth) as gate:
            assert gate.knock(token) == 503
            assert provider.asked == []
        with gate_of(tmp_path / "friend", provider, client_auth, proxy.trusting(AT_ONCE)) as gate:
            wait_until(lambda: gate.knock(token) == 200, 20, "the provider is asked")
            assert gate.knock(f"x{token}") == 401
