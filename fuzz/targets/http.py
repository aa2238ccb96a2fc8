"""Requests in bytes, to the routes of both roles.

The first byte chooses the role and the size of the pieces in which the rest is sent. ``TOKEN`` in a request stands for
a token that is good there. No unforeseen error may be logged, nothing may remain when the sender has left, and the next
honest request must be answered.
"""

import functools
from collections.abc import Iterator
from typing import Any, Protocol
from unittest.mock import patch

from twisted.logger import capturedLogs

from farmkit.fakes import FakeBuilder
from farmkit.memory_http import OCTETS, Browser, Connection, bearer, chunked, head, request
from fuzz.places import scratch
from sccachedist.errors import BuildError
from sccachedist.outcomes import SentLocal
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import JOB_STATE, TOOLCHAIN, JobState, Toolchain
from sccachedist.wire.run_job_frame import frame
from sccachedist.wire.tokens import job_token
from tests.scheduler.test_service import Running as RunningScheduler
from tests.server.servers import JOB, REQUEST
from tests.server.test_service import Running as RunningServer
from tests.support.exchanges import exchange
from tests.toolchains.stocks import ARCHIVES, GCC

TOKEN = b"TOKEN"
STATUSES = {200, 400, 401, 404, 500, 503}
#: Seconds, more than anything is remembered or waited for.
LONG = 1000.0

_AUTHORIZED = bearer(TOKEN.decode())
_IN_CHUNKS = {**_AUTHORIZED, "Transfer-Encoding": "chunked"}


class _Role(Protocol):
    """A role on a reactor of its own."""

    browser: Browser
    token: bytes

    def honest(self) -> bytes:
        """A request that must be answered with 200."""

    def settle(self) -> None:
        """End what the last input has begun; after that nothing may be left."""


class _Scheduler:
    token = b"clienttok"

    def __init__(self) -> None:
        with patch("sccachedist.scheduler.service.check_address"):
            self._running = RunningScheduler()
        self.browser = self._running.browser

    def honest(self) -> bytes:
        return request("GET", "/api/v1/scheduler/status", headers={"Connection": "close"})

    def settle(self) -> None:
        self._running.reactor.advance(LONG)


class _Server:
    def __init__(self) -> None:
        self._builder = FakeBuilder()
        directory = scratch() / "server"
        with (
            patch("sccachedist.server.service.make_builder", lambda *_: self._builder),
            patch("sccachedist.server.service.check_address"),
        ):
            self._running = RunningServer(directory, self._builder)
        self._running.start()
        self._builder.starting.answer("start", None)
        self._cache = directory / "cache"
        self.token = job_token((self._cache / "identity" / "job.key").read_bytes(), JOB).encode()
        reactor: Any = self._running.reactor
        listening = (reactor.sslServers or reactor.tcpServers)[0][1]
        self.browser = Browser(getattr(listening, "wrappedFactory", listening), reactor)  # TLS is not fuzzed

    def honest(self) -> bytes:
        toolchain = encode(TOOLCHAIN, Toolchain(GCC))
        authorized = {**OCTETS, **bearer(self.token.decode()), "Connection": "close"}
        return request("POST", f"/api/v1/distserver/assign_job/{JOB}", toolchain, authorized)

    def settle(self) -> None:
        for job_id in self._builder.jobs.waiting:
            self._builder.jobs.answer(job_id, BuildError(SentLocal.SANDBOX, "fuzzed"))
        for _ in range(3):
            self._running.reactor.advance(LONG)
        self._builder.seen.clear()
        assert not list((self._cache / "spool").iterdir())
        assert not list((self._cache / "incoming").iterdir())


@functools.cache
def _roles() -> tuple[_Role, _Role]:
    return _Scheduler(), _Server()


def seeds() -> Iterator[bytes]:
    """The recorded requests, and one for each route that takes a body."""
    for number in (14, 15, 16, 18, 21, 26, 27):
        yield b"\x00" + exchange(number).asked().replace(b"clienttok", TOKEN)
    authorized = {**OCTETS, **_AUTHORIZED}
    assign = request("POST", _path("assign_job"), encode(TOOLCHAIN, Toolchain(GCC)), authorized)
    submit = head("POST", _path("submit_toolchain"), _IN_CHUNKS) + chunked(*ARCHIVES[:1])
    run = request("POST", _path("run_job"), frame(REQUEST, b"inputs"), authorized)
    yield b"\x01" + assign
    yield b"\x03" + assign + submit + run
    yield b"\x0f" + assign + submit + run.replace(b"POST", b"POST", 1)
    yield b"\x00" + request("POST", "/api/v1/scheduler/job_state/7", encode(JOB_STATE, JobState.READY), authorized)


def _path(route: str) -> str:
    return f"/api/v1/distserver/{route}/{JOB}"


def attack(data: bytes) -> None:
    """Send the input, leave, and make an honest request."""
    if not data:
        return
    role = _roles()[data[0] & 1]
    size = (data[0] >> 1) or len(data)
    with capturedLogs() as events:
        _exchange(role, data[1:].replace(TOKEN, role.token), size)
    unforeseen = [event["log_failure"].getTraceback() for event in events if "log_failure" in event]
    assert not unforeseen, unforeseen[0]


def _exchange(role: _Role, body: bytes, size: int) -> None:
    connection = role.browser.connect()
    connection.say(*(body[start : start + size] for start in range(0, len(body), size)))
    _look_at(connection)
    connection.leave()
    role.settle()
    assert role.browser.ask(role.honest()).status == 200
    role.settle()


def _look_at(connection: Connection) -> None:
    if connection.value().startswith(b"HTTP/1.1"):
        statuses = {int(line.split()[1]) for line in connection.value().split(b"\r\n") if line.startswith(b"HTTP/1.1 ")}
        assert statuses <= STATUSES | {100}, statuses
