"""What workers, their gateway and its clients do, in any order, while connections break and time passes.

Two bytes are a step: the low half of the first chooses the action, the high half and the second byte its arguments. At
the end all workers leave, all clients go, and nothing may be left: no session, no job, no file, no memory. No
unforeseen error may be logged, a job ends once, and at last an honest worker has an honest client's job.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from farmkit.deferreds import pending
from farmkit.memory_http import OCTETS, Answer, Connection, bearer, request
from fuzz.places import scratch
from sccachedist.gateway.dispatch import ALONE_SECS
from sccachedist.gateway.routes import ROOT
from sccachedist.outcomes import SentLocal
from sccachedist.wire.bincode import encode
from sccachedist.wire.gateway import (
    WORKER_ANSWER,
    WORKER_STATE,
    Built,
    Busy,
    NotBuilt,
    WorkerAnswer,
    WorkerState,
    head,
)
from sccachedist.wire.usage import Usage
from tests.gateway.gateways import LIMITS, OTHER_TOKEN, TOKEN, FakeWorker, Gateway, counts

STATUSES = {200, 400, 401, 404, 405, 410, 413, 500, 503}
_ANSWERS: tuple[WorkerAnswer, ...] = (
    Built(Usage(run_ns=7)),
    Busy(),
    NotBuilt(SentLocal.LIMIT, "job_secs", "too long"),
    NotBuilt(SentLocal.MACHINE, "aarch64", "not here"),
)
_SECS = (0.1, 1.0, 3.0, 6.0, 11.0, 21.0, 80.0)
_ROUTES = ("hello", "orders", "next", "withdraw", "answer", "leave", "toolchain", "")
_HONEST, _MOST_STEPS = 99, 60


@attrs.define
class Attack:
    """One sequence."""

    gateway: Gateway
    workers: list[FakeWorker] = attrs.field(factory=list)
    connections: list[tuple[Connection, bytes]] = attrs.field(factory=list)
    jobs: list[Deferred[None]] = attrs.field(factory=list)
    ends: int = 0

    def step(self, what: int, which: int, more: int) -> None:
        """Take one step."""
        steps: tuple[Callable[[int, int], None], ...] = (
            self.hello, self.submit, self.ask, self.ask, self.listen, self.answer, self.answer, self.answer_half,
            self.go_on, self.hang_up, self.leave, self.withdraw, self.cancel, self.pass_time, self.say_anything,
            self.revoke,
        )  # fmt: skip
        steps[what](which, more)
        for connection, _ in self.connections:
            assert {answer.status for answer in _whole(connection)} <= STATUSES

    def hello(self, which: int, more: int) -> None:
        with suppress(AssertionError):  # its token is not good any more
            self.workers.append(
                self.gateway.worker(
                    which & 3, (TOKEN, OTHER_TOKEN)[which >> 3], more & 7, machines=((), (62,))[which >> 2 & 1]
                )
            )

    def submit(self, which: int, more: int) -> None:
        job = self.gateway.job(len(self.jobs) + 1, as_json=bool(which & 1))
        self.jobs.append(self.gateway.run(job))
        self.jobs[-1].addBoth(self._ended)

    def _ended(self, _: object) -> None:
        self.ends += 1

    def ask(self, which: int, more: int) -> None:
        self._begin(which, "next", number=more & 7)

    def listen(self, which: int, more: int) -> None:
        places = tuple(place for place in range(8) if more >> place & 1)
        self._begin(which, "orders", encode(WORKER_STATE, WorkerState(which & 3, which & 3, (), places, more & 15)))

    def answer(self, which: int, more: int) -> None:
        answer = _ANSWERS[more >> 6]
        self._begin(which, "answer", head(WORKER_ANSWER, answer) + b"result" * isinstance(answer, Built), more & 31)

    def answer_half(self, which: int, more: int) -> None:
        self._begin(which, "answer", head(WORKER_ANSWER, _ANSWERS[0]) + b"result" * 9, more & 31, left=1 + (more >> 3))

    def go_on(self, which: int, more: int) -> None:
        """Send the rest of a request."""
        if self.connections:
            connection, rest = self.connections[more % len(self.connections)]
            self.connections[more % len(self.connections)] = connection, b""
            connection.say(rest)

    def hang_up(self, which: int, more: int) -> None:
        if self.connections:
            self.connections.pop(more % len(self.connections))[0].leave()

    def leave(self, which: int, more: int) -> None:
        self._begin(which, "leave")

    def withdraw(self, which: int, more: int) -> None:
        self._begin(which, "withdraw", number=more & 7)

    def cancel(self, which: int, more: int) -> None:
        if self.jobs:
            self.jobs[more % len(self.jobs)].cancel()

    def pass_time(self, which: int, more: int) -> None:
        for _ in range(max(1, int(_SECS[more % len(_SECS)]))):
            self.gateway.clock.advance(min(1.0, _SECS[more % len(_SECS)]))
            self.gateway.sessions.look()

    def say_anything(self, which: int, more: int) -> None:
        """A body that is none, to any route."""
        worker = self._worker(which)
        path = f"{ROOT}/{_ROUTES[more & 7]}/{worker.welcome.session}/{more >> 3}"
        method = "GET" if more & 4 else "POST"
        self._say(request(method, path, bytes([more]) * which, {**OCTETS, **bearer(worker.token)}), 0)

    def revoke(self, which: int, more: int) -> None:
        self.gateway.builder.take_tokens((TOKEN, OTHER_TOKEN)[: 1 + (more & 1)])

    def _worker(self, which: int) -> FakeWorker:
        return self.workers[which % len(self.workers)] if self.workers else FakeWorker(self.gateway, TOKEN)

    def _begin(self, which: int, what: str, body: bytes = b"", number: int | None = None, left: int = 0) -> None:
        worker = self._worker(which)
        self._say(worker.bytes_of(worker.path(what, number), body), left)

    def _say(self, octets: bytes, left: int) -> None:
        """Begin a request, of which some bytes are left for later."""
        connection = self.gateway.browser.connect()
        connection.say(octets[: len(octets) - left])
        self.connections.append((connection, octets[len(octets) - left :]))

    def finish(self) -> None:
        """All go; then nothing is left, and an honest client has its job run by an honest worker."""
        for connection, _ in self.connections:
            connection.leave()
        for job in self.jobs:
            job.cancel()
        assert not any(map(pending, self.jobs))
        assert self.ends == len(self.jobs)
        assert self.gateway.memory.used == 0
        gateway, dispatch = self.gateway, self.gateway.sessions.dispatch
        assert (dispatch.given, dispatch.waiting) == (0, 0)
        assert len(gateway.spooled) <= len(self.jobs)  # the inputs are their client's to remove
        gateway.builder.take_tokens((TOKEN, OTHER_TOKEN))
        gateway.later(ALONE_SECS + LIMITS.job_secs)
        assert dispatch.workers == 0
        honest = gateway.worker(_HONEST)
        run = gateway.run(gateway.job(_HONEST))
        assert counts(honest.answers(honest.takes()[0].ticket, _ANSWERS[0], b"result"))
        assert not pending(run)


def _whole(connection: Connection) -> list[Answer]:
    return connection.answers() if connection.value() else []


def seeds() -> Iterator[bytes]:
    """A job that is built, one whose worker is lost, and one whose answer breaks off."""
    yield bytes([0, 2, 1, 0, 2, 1, 5, 1])
    yield bytes([0, 2, 16, 2, 1, 0, 2, 1, 4, 0, 9, 1, 18, 1, 5, 2])
    yield bytes([0, 2, 1, 0, 2, 1, 7, 9, 9, 1, 2, 2, 7, 10, 8, 3])


def attack(data: bytes) -> None:
    """Carry a sequence out."""
    directory = scratch() / "gateway"
    shutil.rmtree(directory, ignore_errors=True)
    attacked = Attack(Gateway(directory))
    attacked.gateway.spool.mkdir()
    steps = list(zip(data[::2], data[1::2], strict=False))[:_MOST_STEPS]
    with capturedLogs() as events:
        for first, second in steps:
            attacked.step(first & 15, first >> 4, second)
        attacked.finish()
    unforeseen = [event["log_failure"].getTraceback() for event in events if "log_failure" in event]
    assert not unforeseen, unforeseen[0]
