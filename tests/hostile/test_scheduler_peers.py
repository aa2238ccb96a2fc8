"""Rows 43, 51 and 52: what the scheduler believes of proxies, of build servers, and of those it has to ask about."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest

from farmkit.fake_server import FakeServer
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding, replacing
from farmkit.raw_client import OCTETS, RawClient
from sccachedist.wire.bincode import encode
from sccachedist.wire.extension import Availability
from sccachedist.wire.messages import HEARTBEAT, TOOLCHAIN, Toolchain
from sccachedist.wire.tokens import server_token
from tests.functional.conftest import running_farm
from tests.hostile.attacks import fresh_id
from tests.hostile.conftest import talkative
from tests.hostile.neighbour import Neighbour
from tests.scheduler.test_certificates import BAD
from tests.support.turns import metered
from tests.support.unprivileged import dropping, unprivileged

#: Where a proxy of the farm sends from.
PROXY = "127.0.0.3"
#: The address that a stranger behind it says it has, and the one that it has.
CLAIMED, TRUE = "127.0.0.1", "127.0.0.9"
MOST_CALLS = 8


@attrs.define
class SlowService:
    """A service that knows one good token, and takes half a second for each that is wrong."""

    good: str = ""
    asked: int = 0
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def accepts(self, token: str) -> bool:
        """Think about a token."""
        if token == self.good:
            return True
        with self.lock:
            self.asked += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(0.5)
        with self.lock:
            self.at_once -= 1
        return False


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[SlowService, str]]:
    """Such a service, and where it is."""
    service = SlowService()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers["Authorization"].removeprefix("Bearer ")
            self.send_response(200 if service.accepts(token) else 403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 1000

    with Server(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield service, f"http://127.0.0.1:{server.server_port}/check"
        server.shutdown()


@pytest.fixture(scope="module")
def shared_farm(
    user: str, service: tuple[SlowService, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Farm]:
    """A farm with a proxy that is trusted, and clients that the service knows."""
    judge, url = service
    scheduler = replacing(
        adding(
            metered(talkative(OUR_SCHEDULER)),
            network=f'trusted_proxies = ["{PROXY}"]',
            limits=f"token_checks = {MOST_CALLS}",
        ),
        client_auth=f'type = "proxy_token"\nurl = "{url}"',
    )
    as_user = {"root": lambda launch: launch, "nobody": unprivileged, "sandbox.user": dropping}[user]
    tables = {"sandbox": 'user = "nobody"'} if user == "sandbox.user" else {}
    server = as_user(adding(metered(talkative(OUR_SERVER)), **tables))
    farm = Farm(tmp_path_factory.mktemp("shared"), scheduler, server)
    judge.good = farm.client_token
    yield from running_farm(farm)


def test_row_43_strangers_with_wrong_tokens(neighbour: Neighbour, service: tuple[SlowService, str]) -> None:
    """Hundreds of strangers cause few calls at a time, and nobody's build fails who has a good token."""
    judge, before = service[0], service[0].asked
    statuses: list[int] = []

    def knock(number: int) -> None:
        stranger = attrs.evolve(
            neighbour.attacker, client_token=f"forged {number}", address=f"127.0.3.{1 + number % 5}"
        )
        statuses.append(stranger.ask("alloc_job", toolchain(), stranger.client_token).status)

    with neighbour.served(43), ThreadPoolExecutor(100) as strangers:
        for _ in strangers.map(knock, range(600)):
            pass
    assert judge.most_at_once <= MOST_CALLS, judge
    assert judge.asked - before == statuses.count(401), judge
    assert set(statuses) == {401, 503}
    neighbour.unharmed()


def test_row_43_one_wrong_token(neighbour: Neighbour, service: tuple[SlowService, str]) -> None:
    """The same wrong token is asked about once in a while, however often it is shown."""
    judge, before = service[0], service[0].asked
    stranger = attrs.evolve(neighbour.attacker, client_token="forged", address="127.0.3.1")
    began = time.monotonic()
    with neighbour.served(43), ThreadPoolExecutor(50) as strangers:
        said = strangers.map(lambda _: stranger.ask("alloc_job", toolchain(), "forged").status, range(500))
        assert set(said) == {401}
    assert judge.asked - before <= 1 + (time.monotonic() - began) / 2, judge


def test_row_51_many_servers_at_one_address(neighbour: Neighbour, tmp_path: Path) -> None:
    """One host registers so many build servers and no more; those that are there stay."""
    farm = neighbour.farm
    with neighbour.served(51), FakeServer(farm, tmp_path) as fake:
        # None of them takes jobs, so that the neighbour is given to none.
        body = fake.naming(1, {}, Availability.DRAINING)
        ports = range(20_000, 20_150)
        said = [
            neighbour.attacker.ask(
                "heartbeat_server", body, server_token(farm.server_key, attrs.evolve(fake.server_id, port=port))
            ).status
            for port in ports
        ]
        assert said.count(200) == 0, "its certificate has another's name"
        said = [register(neighbour, tmp_path / str(port), port, Availability.DRAINING) for port in ports]
        assert (said.count(200), said.count(500)) == (63, 87)
        assert farm.status().num_servers == 64
    for port in ports:
        register(neighbour, tmp_path / str(port), port, Availability.GONE)
    assert farm.status().num_servers == 1
    neighbour.unharmed()


def register(neighbour: Neighbour, folder: Path, port: int, availability: Availability) -> int:
    """Say something as a build server at a port."""
    folder.mkdir(exist_ok=True)
    fake = FakeServer(neighbour.farm, folder, port=port)
    return fake.name(neighbour.attacker, 1 + (availability is Availability.GONE), {}, availability).status


@pytest.mark.parametrize("kind", BAD)
def test_row_51_certificates_that_are_none(neighbour: Neighbour, tmp_path: Path, kind: str) -> None:
    """No client is told to trust what is no certificate, an authority's, or one for others too."""
    pem = BAD[kind][0]()
    with FakeServer(neighbour.farm, tmp_path) as fake:
        assert fake.say(neighbour.attacker, fake.heartbeat(cert_pem=pem)).status == 400
        asked = neighbour.attacker.ask(f"server_certificate/{fake.server_id}", method="GET")
        assert asked.status == 500, asked
    assert neighbour.farm.status().num_servers == 1


def test_row_52_two_addresses(neighbour: Neighbour, tmp_path: Path) -> None:
    """A stranger behind a proxy that passes its ``X-Real-IP`` on beside its own is no build server."""
    farm = neighbour.farm
    before = farm.ask(f"server_certificate/{farm.server_id}")
    with FakeServer(farm, tmp_path) as fake:
        body, token = encode(HEARTBEAT, fake.heartbeat()), fake.token
        for claims in ((CLAIMED, TRUE), (TRUE, CLAIMED), (CLAIMED, CLAIMED), (f"{CLAIMED}, {TRUE}",)):
            assert proxied(neighbour, "heartbeat_server", body, token, *claims) in (400, 401, 500)
            assert proxied(neighbour, "job_state/1", bytes(4), token, *claims) in (400, 401, 500)
        assert proxied(neighbour, "heartbeat_server", body, token, TRUE) == 401
    assert farm.status().num_servers == 1
    assert farm.ask(f"server_certificate/{farm.server_id}") == before
    for claims in ((CLAIMED, TRUE), (TRUE, TRUE)):
        assert proxied(neighbour, "alloc_job", toolchain(), farm.client_token, *claims) == 500
    for claim in (["nonsense"], [f"{CLAIMED}, {TRUE}"], [TRUE], []):
        assert proxied(neighbour, "alloc_job", toolchain(), farm.client_token, *claim) == 200
    neighbour.unharmed()


@pytest.mark.parametrize("header", ["Authorization", "Content-Type"])
def test_row_52_two_of_others(neighbour: Neighbour, header: str) -> None:
    """Of two tokens, or two kinds of body, none is believed, and no build fails for it."""
    token = neighbour.farm.client_token
    given = [("Authorization", f"Bearer {token}"), *OCTETS.items()]
    other = {"Authorization": "Bearer forged", "Content-Type": "text/plain"}[header]
    for more in ((header, other), (header, dict(given)[header])):
        assert ask(neighbour.attacker, "alloc_job", toolchain(), [*given, more]) == 500
        assert ask(neighbour.attacker, "alloc_job", toolchain(), [more, *given]) == 500
    assert ask(neighbour.attacker, "alloc_job", toolchain(), given) == 200


def toolchain() -> bytes:
    """A wish for a slot."""
    return encode(TOOLCHAIN, Toolchain(fresh_id()))


def proxied(neighbour: Neighbour, path: str, body: bytes, token: str, *claims: str) -> int:
    """The status of a request through the farm's proxy, with these addresses."""
    proxy = attrs.evolve(neighbour.attacker, address=PROXY)
    given = [("Authorization", f"Bearer {token}"), *OCTETS.items(), *(("X-Real-IP", claim) for claim in claims)]
    return ask(proxy, path, body, given)


def ask(attacker: RawClient, path: str, body: bytes, headers: list[tuple[str, str]]) -> int:
    """The status of a request with these headers, each as often as it is there."""
    connection = attacker.connect()
    connection.putrequest("POST", f"/api/v1/scheduler/{path}")
    for name, value in (*headers, ("Content-Length", str(len(body)))):
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status
