"""What ``sccachedist drain`` and ``doctor`` ask, and whom they believe."""

import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import attrs
import pytest

from sccachedist.client.actions import OlderScheduler, act, set_drained
from sccachedist.client.scheduler_address import Given, SchedulerPlace, administrator_place, own_url, trust_in
from sccachedist.client.web_client import Question
from sccachedist.config import AdminSettings, InsecureAuth, SchedulerSettings, TlsSettings
from sccachedist.errors import ConfigError, PeerError
from sccachedist.wire.addresses import ServerId
from tests.support.proxy import Certificate

SERVER = ServerId.parse("192.168.1.2:10501")
SUCCESS = b'"Success"'
ANSWER_SECS = 10


@attrs.define
class Scheduler:
    """A scheduler that gives one answer, over TLS; it remembers what it was asked."""

    server: HTTPServer
    folder: Path
    answer: tuple[int, bytes] = (200, SUCCESS)
    location: str = ""
    asked: list[tuple[str, str | None]] = attrs.field(factory=list)

    @property
    def settings(self) -> SchedulerSettings:
        """Its configuration."""
        return SchedulerSettings(
            ServerId.parse(f"127.0.0.1:{self.server.server_port}"),
            InsecureAuth(),
            InsecureAuth(),
            tls=TlsSettings(self.folder / "own.pem", self.folder / "own.key"),
            admin=AdminSettings("hunter2"),
        )

    def place(self, authorities: Path | None = None) -> SchedulerPlace:
        """Where it is."""
        trust = trust_in(self.settings, authorities)
        return SchedulerPlace(own_url(self.settings), "hunter2", "admin.token of x.conf", trust)

    def drain(self, authorities: Path | None = None, order: str = "drain") -> str:
        """What ``sccachedist drain`` prints of a scheduler of an earlier release."""
        return set_drained(self.place(authorities), order, SERVER)


@pytest.fixture(name="scheduler")
def scheduler_with_tls(tmp_path: Path) -> Iterator[Scheduler]:
    """On a port of its own; its certificate is an authority's, for its address."""
    authority = Certificate.make("The authority")
    own = Certificate.make("127.0.0.1", authority)
    (tmp_path / "authority.pem").write_bytes(authority.pem)
    (tmp_path / "own.pem").write_bytes(own.pem)
    (tmp_path / "own.key").write_bytes(own.pem_with_key)

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            scheduler.asked.append((self.path, self.headers["Authorization"]))
            status, body = scheduler.answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if scheduler.location:
                self.send_header("Location", scheduler.location)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Say nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.key")
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that do not like what they see
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheduler = Scheduler(server, tmp_path)
        serving = Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield scheduler
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize("order", ["drain", "undrain"])
def test_by_its_own_certificate(scheduler: Scheduler, order: str) -> None:
    """A scheduler with ``[tls]`` is reached over https, and known by the certificate that its configuration names."""
    assert str(SERVER) in scheduler.drain(order=order)
    assert scheduler.asked == [(f"/api/v1/admin/{order}/{SERVER}", "Bearer hunter2")]


def test_by_an_authority(scheduler: Scheduler) -> None:
    """With another certificate than the configuration's, it takes an authority, this host's or the one of ``--ca``."""
    (scheduler.folder / "own.pem").write_bytes(Certificate.make("another").pem)
    with pytest.raises(PeerError, match="its certificate is not trusted here"):
        scheduler.drain()
    assert scheduler.asked == []  # no secret has been sent
    scheduler.drain(scheduler.folder / "authority.pem")
    with pytest.raises(PeerError, match="not trusted"):
        scheduler.drain(scheduler.folder / "own.pem")
    assert len(scheduler.asked) == 1


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_files_that_cannot_be_used(scheduler: Scheduler, content: bytes | None) -> None:
    """They are named."""
    for name, key, authorities in (("own.pem", "tls.certificate: ", False), ("ca.pem", "", True)):
        path = scheduler.folder / name
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=f"^{key}{path}: "):
            scheduler.drain(path if authorities else None)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"", "answered 401: it does not take admin.token of x.conf for that of an administrator"),
        (404, b"", "answered 404: it takes no orders"),
        (302, b"", "answered 302: nothing was done"),
        (200, b'{"Fail":{"msg":"no build server has the address"}}', "^no build server has the address$"),
        (200, b"<html>", "answered what it should not"),
    ],
)
def test_why_not(scheduler: Scheduler, status: int, body: bytes, said: str) -> None:
    """What the scheduler did not do is said, and why; nothing is asked elsewhere on its word."""
    scheduler.answer, scheduler.location = (status, body), f"{own_url(scheduler.settings)}/elsewhere"
    with pytest.raises(PeerError, match=said):
        scheduler.drain()
    assert len(scheduler.asked) == 1


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (404, b"", OlderScheduler, "is older, or no scheduler of sccachedist"),
        (405, b"<html>", OlderScheduler, "is older"),
        (404, b'{"description": "no build server is meant"}', PeerError, "^no build server is meant$"),
        (409, b'{"description": "it\\u001b[2J cannot"}', PeerError, r"^it\\x1b\[2J cannot$"),
        (400, b'{"description": "until: expected"}', PeerError, "answered 400: until: expected"),
        (403, b'{"description": "not from there"}', PeerError, "answered 403: not from there"),
        (401, b"", PeerError, "it does not take admin.token of x.conf"),
        (200, b"{}", PeerError, "answered what it should not"),
        (200, b"[" * 99999, PeerError, "answered what it should not"),
    ],
)
def test_an_action_that_is_not_done(
    scheduler: Scheduler, status: int, body: bytes, error: type[PeerError], said: str
) -> None:
    """In the scheduler's own words, if it has some."""
    scheduler.answer = (status, body)
    with pytest.raises(error, match=said):
        act(scheduler.place(), {"action": "resume"})


def test_whose_token(tmp_path: Path) -> None:
    """Without a token of an administrator, what is missing is named; one in a file of its own comes first."""
    config, token = tmp_path / "scheduler.conf", tmp_path / "ann.token"
    insecure = '{ type = "DANGEROUSLY_INSECURE" }'
    config.write_text(f'public_addr = "127.0.0.1:1"\nclient_auth = {insecure}\nserver_auth = {insecure}\n')
    token.write_text("annstoken\n")
    with pytest.raises(ConfigError, match="--token-file or SCCACHEDIST_TOKEN_FILE, or the scheduler's configuration"):
        administrator_place(Given("http://127.0.0.1:1"), {})
    with pytest.raises(ConfigError, match=r"scheduler\.conf: admin\.token: missing.* --token-file"):
        administrator_place(Given(config=config), {})
    for given, environment in (
        (Given(config=config, token_file=token), {}),
        (Given("http://127.0.0.1:1"), {"SCCACHEDIST_TOKEN_FILE": str(token)}),
    ):
        place = administrator_place(given, environment)
        assert (place.url, place.token) == ("http://127.0.0.1:1", "annstoken")
    config.write_text(config.read_text() + '[admin]\ntoken = "hunter2"\n')
    assert administrator_place(Given(config=config), {}).token == "hunter2"


def test_one_that_is_not_there(scheduler: Scheduler) -> None:
    """It says that there is no answer, with the scheduler's URL."""
    for url in ("https://127.0.0.1:1", "http://127.0.0.1:1/"):
        nowhere = attrs.evolve(scheduler.place(), url=url)
        for ask in (lambda place: set_drained(place, "drain", SERVER), lambda place: act(place, {"action": "resume"})):
            with pytest.raises(PeerError, match=r"the scheduler at https?://127\.0\.0\.1:1 does not answer: "):
                ask(nowhere)


def test_no_tls_where_there_should_be(scheduler: Scheduler) -> None:
    """An http URL of a port that speaks TLS: one line."""
    with pytest.raises(PeerError):
        Question(own_url(scheduler.settings).replace("https", "http")).ask(ANSWER_SECS)


@pytest.mark.parametrize(
    ("address", "url"), [("0.0.0.0:10600", "http://127.0.0.1:10600"), ("[::]:10600", "http://[::1]:10600")]
)
def test_one_that_listens_everywhere(scheduler: Scheduler, address: str, url: str) -> None:
    """It is asked at the loopback."""
    assert own_url(attrs.evolve(scheduler.settings, public_addr=ServerId.parse(address), tls=None)) == url
