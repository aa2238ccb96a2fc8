"""The farm's page behind a real nginx that has people sign in elsewhere; both configurations are the documentation's.

What oauth2-proxy says of a browser, a server of the test says.
"""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, Launch
from farmkit.processes import LOOPBACK, Command, Daemon, answers, free_port
from tests.support.page_blocks import blocks
from tests.support.proxy import Vouched, nginx

pytestmark = pytest.mark.functional

ACTION = json.dumps({"action": "pause", "reason": "a move", "preview": True}).encode()


class Provider(BaseHTTPRequestHandler):
    """Has signed in those whose cookie names them."""

    def do_GET(self) -> None:
        name = (self.headers["Cookie"] or "").partition("signed_in=")[2]
        known = bool(name) and self.path == "/oauth2/auth"
        self.send_response(202 if known else 401 if self.path == "/oauth2/auth" else 200)
        if known:
            self.send_header("X-Auth-Request-Email", name)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """It writes nothing."""


@attrs.define
class SignOn(Vouched):
    """nginx before a scheduler's page."""

    folder: Path
    port: int = attrs.field(factory=free_port)
    page_port: int = attrs.field(factory=free_port)

    def scheduler(self) -> Launch:
        """A scheduler as the page configures it."""
        [text] = [block.text for block in blocks("sign_on") if block.language == "toml"]

        def launch(config: Path) -> Command:
            more = text.replace("192.168.1.5", LOOPBACK).replace("192.168.1.1:10700", f"{LOOPBACK}:{self.page_port}")
            config.write_text(f"{config.read_text()}\n{more}\n")
            return OUR_SCHEDULER(config)

        return launch

    @contextmanager
    def running(self, provider: int) -> Iterator[None]:
        """Let nginx run, as the page configures it."""
        [text] = [block.text for block in blocks("sign_on") if block.language == "nginx"]
        for theirs, ours in {
            "listen 443 ssl": f"listen {LOOPBACK}:{self.port} ssl",
            "/etc/nginx/page.example.org": str(self.folder / "page"),
            "127.0.0.1:4180": f"{LOOPBACK}:{provider}",
            "192.168.1.1:10700": f"{LOOPBACK}:{self.page_port}",
        }.items():
            assert theirs in text
            text = text.replace(theirs, ours)
        self.certify("page.pem", "page.key")
        daemon = Daemon.start(nginx(self.folder, text), self.folder / "log")
        try:
            daemon.wait_until(lambda: answers(self.port), 30, "nginx answers")
            yield
        finally:
            daemon.stop()

    def asked(
        self, path: str, name: str | None, body: bytes | None = None, claimed: str | None = None
    ) -> tuple[int, Any]:
        """What a browser gets that somebody has signed in with.

        :param claimed: the name that it says itself.
        """
        trusting = ssl.create_default_context(cafile=self.authority)
        connection = HTTPSConnection(LOOPBACK, self.port, timeout=60, context=trusting)
        cookie = {} if name is None else {"Cookie": f"signed_in={name}"}
        kind = {} if body is None else {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
        said_to_be = {} if claimed is None else {"X-Forwarded-User": claimed}
        connection.request("GET" if body is None else "POST", path, body, {**cookie, **kind, **said_to_be})
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        return answer.status, json.loads(said) if said.startswith(b"{") else said


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignOn]:
    folder = tmp_path_factory.mktemp("sign-on")
    page = SignOn(folder)
    with ThreadingHTTPServer((LOOPBACK, 0), Provider) as provider:
        thread = threading.Thread(target=provider.serve_forever, args=(0.01,))
        thread.start()
        farm = Farm(folder, page.scheduler())
        try:
            farm.start_scheduler()
            with page.running(provider.server_port):
                yield page
        finally:
            farm.stop()
            provider.shutdown()
            thread.join()


def test_who_one_is(page: SignOn) -> None:
    """The one who has signed in, also if the browser says something else; an administrator if the file has the name."""
    for claimed in (None, "ann@example.org"):
        me = page.asked("/api/v1/farm/me", "carl@example.org", claimed=claimed)[1]
        assert (me["role"], me["name"]) == ("viewer", "carl@example.org")
    me = page.asked("/api/v1/farm/me", "ann@example.org")[1]
    assert (me["role"], me["name"]) == ("administrator", "ann@example.org")


def test_nobody_looks_without(page: SignOn) -> None:
    """They are led to where one signs in."""
    status, said = page.asked("/api/v1/farm/status", None, claimed="ann@example.org")
    assert (status, said) == (200, b"")  # the provider's page, and none of the farm


def test_who_acts(page: SignOn) -> None:
    """Administrators do, over TLS; viewers get a 403."""
    assert page.asked("/api/v1/admin/actions", "ann@example.org", ACTION)[0] == 200
    assert page.asked("/api/v1/admin/actions", "carl@example.org", ACTION)[0] in (401, 403)
    assert page.asked("/", "ann@example.org")[0] == 200
