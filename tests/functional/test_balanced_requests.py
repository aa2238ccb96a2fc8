"""What the examples for HAProxy and nginx make of requests: what they say of a sender, ask again, and never answer.

In the place of two schedulers are two servers that note what they are asked.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import attrs
import pytest

from farmkit.processes import LOOPBACK, wait_until
from sccachedist.config.limits import ConnectionLimits
from tests.support.balancers import HAPROXY, HOSTS, NGINX, Balancer

pytestmark = pytest.mark.functional

SENDER = "127.0.0.66"
ALLOC, ORDER = "/api/v1/scheduler/alloc_job", "/api/v1/admin/pause"
_SECS = 60
LIMITS = ConnectionLimits()


@attrs.frozen
class Asked:
    """A request that has arrived.

    :param size: of its body.
    """

    method: str
    path: str
    headers: list[tuple[str, str]]
    size: int

    def all_of(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for each, value in self.headers if each.lower() == name]


@attrs.define
class Noting:
    """What two servers are asked.

    :param dies: whether the next request has no answer.
    :param unready: hosts that have said that they are not ready, once for each time; None if all are ready.
    """

    balancer: Balancer
    asked: list[Asked] = attrs.field(factory=list)
    dies: bool = False
    unready: list[str] | None = None

    def send(self, method: str, path: str, body: bytes = b"", *headers: tuple[str, str]) -> int:
        """Ask the balancer; returns the status, 0 for a connection that is closed without one."""
        with closing(self.balancer.connected(_SECS, SENDER)) as connection:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in (*headers, ("Content-Length", str(len(body)))):
                connection.putheader(name, value)
            with suppress(OSError, HTTPException):
                connection.endheaders()
                with suppress(OSError):  # it may be refused before all of it is sent
                    connection.send(body)
                return connection.getresponse().status
        return 0


@pytest.fixture(scope="module", params=[HAPROXY, NGINX], ids=["haproxy", "nginx"])
def _running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Noting]:
    noting = Noting(Balancer(request.param, tmp_path_factory.mktemp("balancer")))

    class Server(BaseHTTPRequestHandler):
        """Answers what it is asked, or dies."""

        def do_GET(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            size = len(self.rfile.read(size))
            if self.path != "/readyz":
                noting.asked.append(Asked(self.command, self.path, self.headers.items(), size))
                if noting.dies:
                    noting.dies = False
                    return
            elif noting.unready is not None:
                noting.unready.append(str(self.connection.getsockname()[0]))
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ExitStack() as servers:
        for host in HOSTS:
            for port in (noting.balancer.scheduler_port, noting.balancer.monitor_port):
                server = servers.enter_context(ThreadingHTTPServer((host, port), Server))
                Thread(target=server.serve_forever, daemon=True).start()
                servers.callback(server.shutdown)
        servers.enter_context(noting.balancer.running())
        yield noting


@pytest.fixture
def noting(_running: Noting) -> Noting:
    """Both servers, which have been asked nothing yet."""
    _running.asked.clear()
    _running.dies, _running.unready = False, None
    return _running


def test_the_sender(noting: Noting) -> None:
    """Schedulers hear where a request comes from and by which scheme, whatever it says of that itself."""
    made_up = ("X-Real-IP", "10.0.0.1"), ("X-Real-IP", "10.0.0.2"), ("X-Forwarded-Proto", "http")
    assert noting.send("GET", "/", b"", *made_up, ("X-Forwarded-User", "root")) == 200
    (asked,) = noting.asked
    assert asked.all_of("x-real-ip") == [SENDER]
    assert asked.all_of("x-forwarded-proto") == ["https"]
    assert asked.all_of("x-forwarded-user") == [""] * len(asked.all_of("x-forwarded-user"))


@pytest.mark.parametrize("path", [ALLOC, "/api/v1/scheduler/heartbeat_server"])
def test_asked_again(noting: Noting, path: str) -> None:
    """What a scheduler that dies has not answered, the other one is asked, with all of the body."""
    noting.dies = True
    assert noting.send("POST", path, b"x" * 5000) == 200
    assert [(asked.path, asked.size) for asked in noting.asked] == [(path, 5000)] * 2


def test_orders(noting: Noting) -> None:
    """What an administrator orders is not asked again, for it may have been done; what only reads is."""
    noting.dies = True
    assert noting.send("POST", ORDER, b"{}") in (502, 503)
    assert len(noting.asked) == 1
    noting.dies = True
    assert noting.send("GET", "/api/v1/farm/servers") == 200
    assert len(noting.asked) == 3


@pytest.mark.parametrize("_running", [HAPROXY], ids=["haproxy"], indirect=True)
def test_none_is_ready(noting: Noting) -> None:
    """If no scheduler says that it is ready, they are asked all the same."""
    said: list[str] = []
    noting.unready = said
    wait_until(lambda: all(said.count(host) > 3 for host in HOSTS), _SECS, "HAProxy has heard it more than twice")
    assert noting.send("POST", ALLOC) == 200


def test_what_schedulers_take(noting: Noting) -> None:
    """Heads and bodies come through as large as schedulers take them."""
    token = "x" * (LIMITS.header_bytes - 1000)
    assert noting.send("POST", ALLOC, b"x" * LIMITS.heartbeat_bytes, ("Authorization", token)) == 200
    (asked,) = noting.asked
    assert (asked.all_of("authorization"), asked.size) == ([token], LIMITS.heartbeat_bytes)


@pytest.mark.parametrize(
    ("head", "body"), [(100_000, 0), (0, 3 * LIMITS.heartbeat_bytes)], ids=["a large head", "a large body"]
)
def test_too_large(noting: Noting, head: int, body: int) -> None:
    """What is larger than that is not refused with a 4xx, which would fail a compile."""
    status = noting.send("POST", ALLOC, b"x" * body, ("Authorization", "x" * head))
    assert status in (0, 200, 503)


@pytest.mark.parametrize("octets", [b"\0\1\2\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"])
@pytest.mark.parametrize("plain", [False, True], ids=["tls", "plain"])
def test_broken(noting: Noting, octets: bytes, plain: bool) -> None:
    """What is no request, is cut off, or comes without TLS, is not answered with a 4xx either."""
    with socket.create_connection((LOOPBACK, noting.balancer.port), _SECS) as connection, ExitStack() as stack:
        if not plain:
            trusting = ssl.create_default_context(cafile=noting.balancer.authority)
            connection = stack.enter_context(trusting.wrap_socket(connection, server_hostname=LOOPBACK))
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        said = b""
        with suppress(ConnectionResetError):
            while octets := connection.recv(1 << 16):
                said += octets
    assert b" 4" not in said.partition(b"\r\n")[0], said
