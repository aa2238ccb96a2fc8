"""The build server's endpoints, from bytes to bytes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from farmkit.memory_http import OCTETS, Answer, Browser, bearer, chunked, head, request
from sccachedist.budgets import Party
from sccachedist.config import ServerLimits
from sccachedist.server.routes import ServerRoutes
from sccachedist.server.tls import ShownIdentity
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import (
    ASSIGN_JOB_RESULT,
    RUN_JOB_RESULT,
    SUBMIT_TOOLCHAIN_RESULT,
    TOOLCHAIN,
    AssignJobResult,
    JobId,
    JobNotFound,
    JobState,
    SubmitToolchainResult,
    Toolchain,
)
from sccachedist.wire.run_job_frame import frame
from sccachedist.wire.tokens import job_token
from tests.server.servers import JOB, REQUEST, Host
from tests.support.exchanges import exchange
from tests.toolchains.stocks import ARCHIVES, CLANG, GCC

GCC_BYTES = ARCHIVES[0]
LIMITS = ServerLimits(message_bytes=200, command_bytes=2000, inputs_bytes=1000)
RECORDED_ARCHIVE = ArchiveId("8b53360fcff9963612978c7daff36bb3b57fa3fa21972afce9bb54baa1a2d66d")


@attrs.define
class Peer:
    """Somebody who has the tokens of jobs."""

    host: Host
    key: bytes
    browser: Browser

    def token(self, job_id: int = JOB, key: bytes | None = None) -> dict[str, str]:
        return bearer(job_token(key or self.key, JobId(job_id)))

    def assign(self, job_id: int = JOB, toolchain: str = GCC, **headers: str) -> Answer:
        body = encode(TOOLCHAIN, Toolchain(toolchain))
        return self.browser.ask(
            request("POST", path("assign_job", job_id), body, {**OCTETS, **self.token(job_id), **headers})
        )

    def submit(self, octets: bytes, job_id: int = JOB) -> Answer:
        """As clients do: in chunks, and without a type."""
        headers = {**self.token(job_id), "Transfer-Encoding": "chunked"}
        return self.browser.ask(head("POST", path("submit_toolchain", job_id), headers) + chunked(octets))


def path(route: str, job_id: int) -> str:
    return f"/api/v1/distserver/{route}/{job_id}"


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    host = Host(tmp_path, LIMITS)
    identity = ShownIdentity(tmp_path / "identity", ServerId.parse("127.0.0.1:10501"))
    identity.load()
    site = Site(Mounted(ServerRoutes(host.server, identity, LIMITS)), host.clock)
    yield Peer(host, identity.current.job_key, Browser(site, host.clock))
    host.stock.close()


def test_one_job(peer: Peer) -> None:
    """A job from its assignment to its answer."""
    assert peer.assign().message(ASSIGN_JOB_RESULT) == AssignJobResult(JobState.PENDING, need_toolchain=True)
    assert peer.submit(GCC_BYTES).message(SUBMIT_TOOLCHAIN_RESULT) is SubmitToolchainResult.SUCCESS
    assert peer.assign().message(ASSIGN_JOB_RESULT) == AssignJobResult(JobState.READY, need_toolchain=False)
    connection = peer.browser.connect()
    connection.say(request("POST", path("run_job", JOB), frame(REQUEST, b"inputs"), {**OCTETS, **peer.token()}))
    assert connection.answers() == []
    peer.host.builder.jobs.answer(JOB, None)
    (answer,) = connection.answers()
    assert answer.message(RUN_JOB_RESULT) == JobNotFound()  # the fake's answer
    assert list(peer.host.spool.iterdir()) == []


@pytest.mark.parametrize(
    ("client", "sender", "party"),
    [
        ("alice@127.0.0.1", "127.0.0.5", "alice@127.0.0.1"),
        (None, "127.0.0.5", "127.0.0.5"),
        (None, "2001:db8::1", "2001:db8::/64"),
    ],
)
def test_who_is_charged(peer: Peer, client: str | None, sender: str, party: str) -> None:
    """The client that the scheduler names in its token; without one, the address or network of the sender."""
    token = bearer(job_token(peer.key, JobId(JOB), GCC, client=client))
    upload, job = peer.browser.connect(sender), peer.browser.connect(sender)
    upload.say(head("POST", path("submit_toolchain", JOB), {**token, "Transfer-Encoding": "chunked"}))
    upload.say(chunked(GCC_BYTES[:100])[:-5])
    assert peer.host.stock.disk.held(Party(party)) == 100
    upload.leave()
    token = bearer(job_token(peer.key, JobId(JOB + 1), GCC, client=client))
    body = frame(REQUEST, b"inputs")
    job.say(head("POST", path("run_job", JOB + 1), {**OCTETS, **token, "Content-Length": "900"}), body)
    assert peer.host.stock.disk.held(Party(party)) == len(b"inputs")
    assert peer.host.memory.held(Party(party)) == len(body) - len(b"inputs")
    job.leave()


@pytest.mark.parametrize("is_stored", [True, False])
def test_in_an_object_store(tmp_path: Path, is_stored: bool) -> None:
    """A client need not bring what the build server gets from a store; of what is here, the store is not asked."""
    asked: list[str] = []

    async def look(toolchain: ArchiveId) -> bool:
        asked.append(toolchain)
        return is_stored

    host = Host(tmp_path, LIMITS)
    identity = ShownIdentity(tmp_path / "identity", ServerId.parse("127.0.0.1:10501"))
    identity.load()
    site = Site(Mounted(ServerRoutes(host.server, identity, LIMITS, look)), host.clock)
    peer = Peer(host, identity.current.job_key, Browser(site, host.clock))
    assert peer.assign().message(ASSIGN_JOB_RESULT) == AssignJobResult(JobState.PENDING, need_toolchain=not is_stored)
    peer.submit(GCC_BYTES)
    assert peer.assign().message(ASSIGN_JOB_RESULT) == AssignJobResult(JobState.READY, need_toolchain=False)
    assert asked == [GCC]
    host.stock.close()


def test_brought_along(peer: Peer) -> None:
    """A job that only the client's token speaks of, from its toolchain to its answer; it opens nothing twice."""
    token = bearer(job_token(peer.key, JOB, GCC))
    headers = {**token, "Transfer-Encoding": "chunked"}
    sent = peer.browser.ask(head("POST", path("submit_toolchain", JOB), headers) + chunked(GCC_BYTES))
    assert sent.message(SUBMIT_TOOLCHAIN_RESULT) is SubmitToolchainResult.SUCCESS
    asked = request("POST", path("run_job", JOB), frame(REQUEST, b"inputs"), {**OCTETS, **token})
    connection = peer.browser.connect()
    connection.say(asked)
    assert peer.host.builder.jobs.waiting == [JOB]
    peer.host.builder.jobs.answer(JOB, None)
    assert connection.answers()[0].status == 200
    assert peer.browser.ask(asked).message(RUN_JOB_RESULT) == JobNotFound()


def test_clients_do_not_assign(peer: Peer) -> None:
    """The token that a client has of our scheduler assigns no job, its own neither."""
    body, token = encode(TOOLCHAIN, Toolchain(GCC)), bearer(job_token(peer.key, JOB, GCC))
    assert peer.browser.ask(request("POST", path("assign_job", JOB), body, {**OCTETS, **token})).status == 401
    assert peer.assign(toolchain=CLANG).message(ASSIGN_JOB_RESULT).state is JobState.PENDING


def test_json(peer: Peer) -> None:
    """Who prefers JSON gets it."""
    answer = peer.assign(Accept="application/json")
    assert json.loads(answer.body) == {"state": "Pending", "need_toolchain": True}


ROUTES = pytest.mark.parametrize("route", ["assign_job", "submit_toolchain", "run_job"])


@ROUTES
@pytest.mark.parametrize(
    ("shown", "status"),
    [
        (lambda _: {}, 401),
        (lambda _: {"Authorization": "Basic eDp5"}, 401),
        (lambda _: bearer("nonsense"), 401),
        (lambda peer: peer.token(8), 401),
        (lambda peer: peer.token(JOB, b"a key from before it was lost"), 500),
    ],
)
def test_token(peer: Peer, route: str, shown: Callable[[Peer], dict[str, str]], status: int) -> None:
    """A token that nobody ever issued is refused at the headers; one that may be from before breaks no build."""
    peer.assign()
    connection = peer.browser.connect()
    connection.say(head("POST", path(route, JOB), {"Content-Length": "100", **OCTETS, **shown(peer)}))
    (answer,) = connection.answers()
    assert answer.status == status
    assert answer.headers.get("www-authenticate") == ('Bearer error="invalid_jwt"' if status == 401 else None)
    assert set(json.loads(answer.body)) == {"description", "cause"}
    assert [*peer.host.spool.iterdir(), *(peer.host.directory / "incoming").iterdir()] == []


@pytest.mark.parametrize("route", ["assign_job", "run_job"])
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"\xff" * 20, {}, 500),
        (b"\0\0\0\x02xx", {}, 400),
        (b"x", {"Content-Type": "text/plain"}, 400),
        (b"x" * 3100, {}, 500),
    ],
)
def test_body(peer: Peer, route: str, body: bytes, headers: dict[str, str], status: int) -> None:
    """A body that is no message is refused, and one that is too large makes the client compile locally."""
    if (route, body) == ("assign_job", b"\xff" * 20):
        status = 400  # a length beyond its end, where run_job sees a command beyond its limit
    if route == "run_job":
        peer.assign()
    answer = peer.browser.ask(request("POST", path(route, JOB), body, {**OCTETS, **peer.token(), **headers}))
    assert answer.status == status
    assert list(peer.host.spool.iterdir()) == []


@pytest.mark.parametrize("name", ["", "/etc/cron.d/x", "../../x", "A" * 64])
def test_not_a_toolchain(peer: Peer, name: str) -> None:
    """An archive id that is none is refused before anything else."""
    assert peer.assign(toolchain=name).status == 400


def test_assigned_another_toolchain(peer: Peer) -> None:
    """A client that holds a job's token cannot exchange its toolchain."""
    peer.assign()
    assert peer.assign(toolchain="0" * 64).status == 500
    assert peer.submit(GCC_BYTES).message(SUBMIT_TOOLCHAIN_RESULT) is SubmitToolchainResult.SUCCESS


def test_poisoned(peer: Peer) -> None:
    """What does not match its name is refused with a value, and nothing of it is kept."""
    peer.assign()
    assert peer.submit(b"poison").message(SUBMIT_TOOLCHAIN_RESULT) is SubmitToolchainResult.CANNOT_CACHE
    assert peer.host.stock.files() <= {"job.key", "tls.pem"}


def test_upload_for_nothing(peer: Peer) -> None:
    """An upload without a job is read to its end and not stored: the client learns why."""
    answer = peer.submit(GCC_BYTES)
    assert answer.message(SUBMIT_TOOLCHAIN_RESULT) is SubmitToolchainResult.JOB_NOT_FOUND


def test_upload_grows_too_large(peer: Peer) -> None:
    """An upload beyond the limit is refused midway, and what has come of it is gone."""
    peer.assign()
    connection = peer.browser.connect()
    headers = {**peer.token(), "Transfer-Encoding": "chunked"}
    connection.say(head("POST", path("submit_toolchain", JOB), headers), b"1f5\r\n" + b"x" * 501)
    (answer,) = connection.answers()
    assert answer.status == 500
    assert list((peer.host.directory / "incoming").iterdir()) == []
    peer.assign()
    assert peer.submit(GCC_BYTES).message(SUBMIT_TOOLCHAIN_RESULT) is SubmitToolchainResult.SUCCESS


@pytest.mark.parametrize("sent", [b"", b"5\r\nhello\r\n"])
def test_uploader_goes(peer: Peer, sent: bytes) -> None:
    """An upload that breaks off leaves no file, and the next client may begin."""
    peer.assign()
    connection = peer.browser.connect()
    connection.say(head("POST", path("submit_toolchain", JOB), {**peer.token(), "Transfer-Encoding": "chunked"}), sent)
    connection.leave()
    assert list((peer.host.directory / "incoming").iterdir()) == []
    assert peer.submit(GCC_BYTES).message(SUBMIT_TOOLCHAIN_RESULT) is SubmitToolchainResult.JOB_NOT_FOUND
    peer.assign()
    assert peer.submit(GCC_BYTES).message(SUBMIT_TOOLCHAIN_RESULT) is SubmitToolchainResult.SUCCESS


@pytest.mark.parametrize("after", [0, 30, None])
def test_client_goes(peer: Peer, after: int | None) -> None:
    """A client that goes away, with its inputs half sent or its compile running, leaves nothing behind."""
    outcome = peer.submit(GCC_BYTES, JOB) if peer.assign() else None
    assert outcome is not None
    body = frame(REQUEST, b"inputs")
    asked = request("POST", path("run_job", JOB), body, {**OCTETS, **peer.token()})
    connection = peer.browser.connect()
    connection.say(asked if after is None else asked[: len(asked) - len(body) + after])
    connection.leave()
    assert list(peer.host.spool.iterdir()) == []
    assert (peer.host.builder.jobs.waiting, peer.host.core.running) == ([], 0)


# -- recorded from the published programs --


def as_recorded(peer: Peer, number: int) -> Any:
    """What ours answers to a recorded request, and what the published build server answered."""
    recorded = exchange(number)
    token = peer.token(int(recorded.path.rpartition("/")[2]))
    connection = peer.browser.connect()
    connection.say(recorded.asked({**OCTETS, **token}))
    for job_id in peer.host.builder.jobs.waiting:
        peer.host.builder.result = recorded.response
        peer.host.builder.jobs.answer(job_id, None)
    (answer,) = connection.answers()
    return (answer.status, answer.body), (recorded.status, recorded.response)


def test_recorded(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded requests get the recorded answers, with a compile's result from a builder that repeats it."""

    async def believe(_: object, toolchain: ArchiveId, __: Path) -> ArchiveId:
        return toolchain  # the recorded archives are not at hand

    monkeypatch.setattr(peer.host.stock.toolchains, "_in_thread", believe)
    peer.host.stock.put(b"in the place of the recorded one", RECORDED_ARCHIVE)
    for number in (19, 1):
        ours, theirs = as_recorded(peer, number)
        assert ours == theirs
    peer.host.stock.toolchains.open()
    peer.host.core.toolchain_arrived(JobId(41), 0.0)
    for number in (6, 7, 10, 13):
        ours, theirs = as_recorded(peer, number)
        assert ours == theirs
