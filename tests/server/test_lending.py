"""Toolchains that other build servers fetch from this one: for whom, how many at a time, and from eviction kept."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.deferreds import outcome
from farmkit.memory_http import Answer, Browser, SlowConnection, bearer, request
from sccachedist.server.lending import MOST_LOANS, TOKEN_SECS, LendingRoutes
from sccachedist.server.tls import ShownIdentity
from sccachedist.web.file_sender import CHUNK
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.tokens import job_token, toolchain_token
from tests.server.servers import JOB
from tests.toolchains.stocks import ARCHIVES, CLANG, GCC, Stock, named

NOW = 1_700_000_000
LARGE = b"large" * CHUNK


@attrs.define
class Lender:
    """A build server that has some toolchains."""

    stock: Stock
    identity: ShownIdentity
    now: float | None = NOW
    routes: LendingRoutes = attrs.field(init=False)
    browser: Browser = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.routes = LendingRoutes(self.stock.toolchains, self.identity, lambda: self.now)
        self.browser = Browser(Site(Mounted(self.routes), self.stock.clock), self.stock.clock)

    def token(self, toolchain: ArchiveId = GCC, issued: int = NOW) -> str:
        return toolchain_token(self.identity.current.job_key, toolchain, issued)

    def ask(self, toolchain: str = GCC, token: str | None = None) -> Answer:
        headers = bearer(self.token() if token is None else token) if token != "" else {}
        return self.browser.ask(request("GET", f"/api/v1/distserver/toolchain/{toolchain}", headers=headers))

    def slow(self, toolchain: ArchiveId) -> SlowConnection:
        """A peer that takes a chunk and no more."""
        connection = SlowConnection(self.browser.site, self.stock.clock, "127.0.0.1")
        path = f"/api/v1/distserver/toolchain/{toolchain}"
        connection.say(request("GET", path, headers=bearer(self.token(toolchain))))
        return connection


@pytest.fixture
def lender(tmp_path: Path) -> Iterator[Lender]:
    identity = ShownIdentity(tmp_path / "identity", ServerId.parse("127.0.0.1:10501"))
    identity.load()
    stock = Stock(tmp_path / "cache", capacity=2 * len(LARGE), limit=len(LARGE))
    stock.disk.total = 10 * len(LARGE)
    assert outcome(stock.bring(ARCHIVES[0])) is None
    yield Lender(stock, identity)
    stock.close()


def test_lent(lender: Lender) -> None:
    """The archive, byte by byte; it stays here."""
    for _ in range(2 * MOST_LOANS):
        answer = lender.ask()
        assert (answer.status, answer.body) == (200, ARCHIVES[0])
    assert GCC in lender.stock.toolchains
    assert lender.routes.lent == {"sent": 2 * MOST_LOANS, "failed": 0, "busy": 0, "missing": 0}


def test_not_here(lender: Lender) -> None:
    """What is not here, or is damaged, is not sent."""
    assert lender.ask(CLANG, lender.token(CLANG)).status == 404
    lender.stock.restart()
    lender.routes = LendingRoutes(lender.stock.toolchains, lender.identity, lambda: NOW)
    lender.stock.path(GCC).write_bytes(b"damaged")
    assert Lender(lender.stock, lender.identity).ask().status == 404
    assert GCC not in lender.stock.toolchains


def test_who_may(lender: Lender) -> None:
    """The scheduler's token for this toolchain, of these minutes, opens it, and nothing else does."""
    key = lender.identity.current.job_key
    for token in (
        "",
        "nonsense",
        job_token(key, JOB, GCC, issued=NOW),
        lender.token(CLANG),
        lender.token(issued=NOW - int(TOKEN_SECS) - 1),
        lender.token(issued=NOW + int(TOKEN_SECS) + 1),
        toolchain_token(b"another key", GCC, NOW),
    ):
        assert lender.ask(token=token).status == 401
    assert lender.ask("../identity", lender.token()).status == 404
    lender.now = None  # a server that has not heard of a scheduler of ours cannot tell how old a token is
    assert lender.ask().status == 401


def test_few_at_a_time(lender: Lender) -> None:
    """Beyond two at a time, a peer is told to ask elsewhere; a place is free again when one has it, or has gone."""
    assert outcome(lender.stock.bring(LARGE)) is None
    slow = [lender.slow(named(LARGE)) for _ in range(MOST_LOANS)]
    assert lender.ask().status == 503
    slow[0].leave()
    lender.stock.clock.advance(0)
    assert lender.ask().status == 200
    for _ in range(len(LARGE) // CHUNK + 1):
        slow[1].drain()
    assert slow[1].answers()[0].body == LARGE
    assert lender.routes.lent == {"sent": 2, "failed": 1, "busy": 1, "missing": 0}


def test_kept_while_it_is_lent(lender: Lender) -> None:
    """An archive that is on its way to another server does not make room."""
    assert outcome(lender.stock.bring(LARGE)) is None
    slow = lender.slow(named(LARGE))
    lender.stock.toolchains.forget(named(LARGE))
    assert named(LARGE) in lender.stock.toolchains
    slow.leave()
    lender.stock.clock.advance(0)
    assert named(LARGE) not in lender.stock.toolchains
