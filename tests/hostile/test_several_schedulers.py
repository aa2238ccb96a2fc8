"""Two schedulers, of which one leads, attacked at the other one: it gives nobody more than the leader would."""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, adding
from farmkit.processes import LOOPBACK, answers, free_port, wait_until
from farmkit.raw_client import RawClient
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.tokens import server_token
from tests.hostile.conftest import talkative
from tests.support.liar import Answer, dripping, liar, response, silent
from tests.support.scripted_election import led_by, say

#: Where the attacker is. Both schedulers believe what comes from ``LOOPBACK``, where the other one is.
STRANGER = "127.0.0.66"
ADMIN = "of-an-administrator-of-several"
_SECS, _HALF_SENT, _WAITING = 60, 300, 100
SPOOFED = {
    "X-Real-IP": LOOPBACK,
    "X-Forwarded-For": LOOPBACK,
    "Forwarded": f"for={LOOPBACK}",
    "X-Forwarded-Proto": "https",
    "X-Remote-User": "ann",
}
_LAST = b"GET /api/v1/scheduler/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
_PAGE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
_POST = b"POST /api/v1/scheduler/alloc_job HTTP/1.1\r\nHost: x\r\n"


@attrs.frozen
class Two:
    """The scheduler that is attacked, the one that leads, and the file that tells the first one who leads."""

    follower: Farm
    leader: Farm
    script: Path

    def client(self, farm: Farm, address: str = STRANGER) -> RawClient:
        """Somebody who has the token of clients."""
        return RawClient(ServerId.parse(f"{LOOPBACK}:{farm.scheduler_port}"), farm.client_token, address)

    def first(self, farm: Farm, path: str, headers: Mapping[str, str], address: str = STRANGER) -> int:
        """The status of a request with an empty body."""
        said = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return self.say(farm, f"POST /api/v1/{path} HTTP/1.1\r\n{said}\r\n".encode() + _LAST, address)[0]

    def say(self, farm: Farm, octets: bytes, address: str = STRANGER) -> list[int]:
        """The statuses of all answers to bytes of a stranger, of which the last ask for the end of the connection."""
        with socket.create_connection((LOOPBACK, farm.scheduler_port), _SECS, (address, 0)) as connection:
            answer = b""
            with contextlib.suppress(ConnectionError):
                connection.sendall(octets)
                while more := connection.recv(1 << 16):
                    answer += more
        return [int(each[:3]) for each in answer.split(b"HTTP/1.1 ")[1:] if each[:3] != b"100"]

    def begun(self, stack: contextlib.ExitStack) -> socket.socket:
        """A connection that waits for an answer."""
        address = (LOOPBACK, self.follower.scheduler_port)
        connection = stack.enter_context(socket.create_connection(address, _SECS, (STRANGER, 0)))
        connection.sendall(_LAST)
        return connection

    @contextlib.contextmanager
    def led_from(self, port: int) -> Iterator[None]:
        """Another program stands at the leader's address meanwhile."""
        say(self.script, f"http://{LOOPBACK}:{port}")
        try:
            yield
        finally:
            say(self.script, self.leader.scheduler_url)
            wait_until(lambda: self.client(self.follower).alive(), _SECS, "the leader is found again")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Both schedulers, which log all they can."""
    folders = tmp_path_factory.mktemp("follower"), tmp_path_factory.mktemp("leader")
    script, leads = folders[0] / "script", folders[1] / "script"
    launch = adding(
        talkative(OUR_SCHEDULER),
        network=f'trusted_proxies = ["{LOOPBACK}"]',
        web='user_header = "X-Remote-User"',
        **{"admin": f'token = "{ADMIN}"', "admin.people.ann": ""},
    )
    follower = Farm(folders[0], led_by(launch, script))
    leader = attrs.evolve(
        follower, folder=folders[1], launch_scheduler=led_by(launch, leads), scheduler_port=free_port()
    )
    say(script, leader.scheduler_url)
    say(leads, "lead")
    try:
        leader.start_scheduler()
        follower.start_scheduler()
        yield Two(follower, leader, script)
    finally:
        follower.stop()
        leader.stop()


def test_nobody_is_somewhere_else(two: Two) -> None:
    """A build server's token is good at its own address alone, and a user's name is a proxy's to say."""
    token = server_token(two.leader.server_key, ServerId.parse(f"{LOOPBACK}:11502"))
    own, path = {"Authorization": f"Bearer {token}"}, "scheduler/heartbeat_server"
    for farm in (two.leader, two.follower):
        for headers in ({}, SPOOFED):
            assert two.first(farm, path, {**own, **headers}) == 401
            assert two.first(farm, "admin/actions", {"Content-Type": "application/json", **headers}) == 401
        assert two.first(farm, path, {**own, "X-Real-IP": LOOPBACK}, LOOPBACK) != 401
    marked = {**own, **SPOOFED, "X-Sccachedist-Passed-On": "1"}
    assert [two.first(farm, path, marked) for farm in (two.leader, two.follower)] == [401, 503]


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(_POST + b"Content-Length: 0\r\nContent-Length: 90\r\n\r\n", id="two lengths"),
        pytest.param(
            _POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="length and chunks"
        ),
        pytest.param(_POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", id="another coding"),
        pytest.param(_POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", id="a space in a name"),
        pytest.param(_POST + b"X: y\r\n Content-Length: 90\r\n\r\n", id="a folded line"),
        pytest.param(_POST + b"X: y\nContent-Length: 90\r\n\r\n", id="a line feed alone"),
        pytest.param(_POST + b"X\xff: y\r\n\r\n", id="an odd name"),
        pytest.param(_POST + b"Upgrade: h2c\r\nConnection: Upgrade, X-Real-IP\r\n\r\n", id="upgrade"),
        pytest.param(_POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", id="expect"),
        pytest.param(
            _POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Real-IP: 1.1.1.1\r\n\r\n", id="trailer"
        ),
        pytest.param(_LAST.replace(b"Connection: close\r\n", b"") * 3, id="pipelined"),
        pytest.param(b"GET http://x.example/nothing HTTP/1.1\r\nHost: y\r\n\r\n", id="absolute"),
        pytest.param(b"GET /a%0d%0aX:%20y HTTP/1.1\r\nHost: x\r\n\r\n", id="line ends in a path"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", id="an asterisk"),
        pytest.param(b"CONNECT x.example:80 HTTP/1.1\r\nHost: x\r\n\r\n", id="connect"),
        pytest.param(b"GET /api/v1/scheduler/status#x HTTP/1.1\r\nHost: x\r\n\r\n", id="a fragment"),
    ],
)
def test_nothing_is_smuggled(two: Two, octets: bytes) -> None:
    """Both see the same requests in the same bytes; a leader that refuses the first reads no further."""
    at_leader, at_follower = (two.say(farm, octets + _LAST) for farm in (two.leader, two.follower))
    assert at_leader == at_follower[: len(at_leader)]
    assert at_follower in ([*at_leader], [*at_leader, 200])


def test_no_other_port(two: Two) -> None:
    """A target that is no path does not become a part of the leader's port."""
    heard: list[bytes] = []
    with contextlib.ExitStack() as stack:
        ports = (stack.enter_context(liar(lambda each: heard.append(each.recv(1 << 16)))) for _ in range(100))
        port = next(port for port in ports if not answers(port // 10, LOOPBACK))
        with two.led_from(port // 10):
            expected = f"http://{LOOPBACK}:{port // 10} does not answer".encode()
            wait_until(
                lambda: expected in two.client(two.follower).ask("status", method="GET").body, _SECS, "it is asked"
            )
            assert two.say(two.follower, b"GET %d/x HTTP/1.1\r\nConnection: close\r\n\r\n" % (port % 10)) == [404]
    assert heard == []


@pytest.mark.parametrize("answer", [silent, dripping], ids=["silent", "dripping"])
def test_a_leader_that_does_not_answer(two: Two, answer: Answer) -> None:
    """While many wait for it, what a scheduler answers itself comes at once, and nobody waits any more when they go."""
    heard: list[socket.socket] = []

    def hear(connection: socket.socket) -> None:
        heard.append(connection.dup())
        answer(connection)

    with liar(hear) as port, two.led_from(port), contextlib.ExitStack() as stack:
        wait_until(lambda: two.begun(stack).fileno() > 0 and bool(heard), _SECS, "it is followed")
        for _ in range(_WAITING):
            two.begun(stack)
        wait_until(lambda: len(heard) > _WAITING, _SECS, "all are passed on")
        assert two.say(two.follower, _PAGE) == [200]
        stack.close()
        wait_until(lambda: all(map(has_gone, heard)), _SECS, "no call is left")


def has_gone(connection: socket.socket) -> bool:
    """Whether the other end of a connection has closed it."""
    with contextlib.suppress(BlockingIOError):
        connection.setblocking(False)
        try:
            return not connection.recv(1 << 16)
        except ConnectionError:
            return True
    return False


def test_what_another_program_answers(two: Two) -> None:
    """No cookie, no other place and no header of a connection comes from what stands at the leader's address."""
    head = (b"Set-Cookie: sccachedist=x", b"Location: http://x.example/", b"Content-Type: text/plain", b"Upgrade: h2c")
    with liar(response(b"lie", *head, b"Content-Length: 3")) as port, two.led_from(port):
        wait_until(lambda: two.client(two.follower).ask("status", method="GET").body == b"lie", _SECS, "it is followed")
        connection = two.client(two.follower).connect()
        connection.request("GET", "/api/v1/scheduler/status")
        names = {name.lower() for name, _ in connection.getresponse().getheaders()}
        connection.close()
    assert names == {"content-type", "content-length", "date", "server"}


def test_half_sent(two: Two) -> None:
    """Hundreds of half-sent requests at the one that follows keep no other client from the leader."""
    begun = _POST + b"Cookie: " + b"x" * 10_000 + b"\r\nContent-Length: 60000\r\n\r\n" + b"x" * 30_000
    with contextlib.ExitStack() as stack:
        for _ in range(_HALF_SENT):
            address = (LOOPBACK, two.follower.scheduler_port)
            connection = stack.enter_context(socket.create_connection(address, _SECS, (STRANGER, 0)))
            connection.sendall(begun)
        assert two.client(two.follower, "127.0.0.77").alive()
        assert two.client(two.follower, "127.0.0.77").ask("alloc_job", token=two.follower.client_token).status == 400
    assert two.client(two.follower).alive()


def test_no_secret_in_a_log(two: Two) -> None:
    """What either logs of all that, has no token."""
    secret = server_token(two.leader.server_key, ServerId.parse(f"{LOOPBACK}:11502"))
    for farm in (two.leader, two.follower):
        log = farm.scheduler.log.read_text()
        assert "answered" in log
        assert not [each for each in (secret, farm.client_token, ADMIN) if each in log]
