"""Sequences of requests from several clients to a farm of three daemons, while wires break and servers come and go.

Two bytes are a step: the low half of the first chooses the action, the high half and the second byte its arguments. At
the end all clients leave, time passes, and nothing may be left: no slot, no job, no place in a queue, no file. No
unforeseen error may be logged, no job may run twice, no client with good tokens may be told that it made a mistake,
and at last an honest client must be served.
"""

import itertools
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
from twisted.logger import capturedLogs

from farmkit.memory_http import OCTETS, Connection, bearer, chunked, head, request
from fuzz.farm import ADMIN_TOKEN, CLIENT_TOKEN, HEARTBEAT_SECS, SERVERS, Farm, Server, Weather
from fuzz.places import scratch
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import (
    ALLOC_JOB_RESPONSE,
    RUN_JOB_RESULT,
    SCHEDULER_STATUS,
    TOOLCHAIN,
    AllocJobSuccess,
    JobComplete,
    Toolchain,
)
from sccachedist.wire.run_job_frame import frame
from tests.server.servers import REQUEST
from tests.toolchains.stocks import ARCHIVES, CLANG, GCC, RUSTC

_TOOLCHAINS: tuple[ArchiveId, ...] = (GCC, CLANG, RUSTC)
_CLIENTS = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1")
_HONEST = "10.0.0.9"
_SECS = (0.01, 0.3, 1.0, 2.5, 5.0, 6.0, 11.0, 25.0, 40.0, 61.0, 95.0, 130.0, 310.0)
_MOST_STEPS = 60
_WHOLE = (200, 500, 503)


@attrs.frozen
class Job:
    """A job that a client was given."""

    server: int
    job_id: int
    token: str
    toolchain: int
    sender: str


@attrs.frozen
class Asked:
    """A request that was made.

    :param honest: whether it was whole and had a good token: then a failure is never its client's fault.
    """

    connection: Connection
    what: str
    honest: bool


class Attack:
    """One sequence."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.jobs: list[Job] = []
        self.asked: list[Asked] = []
        self.waiting: list[tuple[Asked, int, str]] = []

    def step(self, what: int, which: int, more: int) -> None:
        """Take one step."""
        steps: tuple[Callable[[int, int], None], ...] = (
            self.allocate,
            self.allocate,
            self.submit,
            self.submit_otherwise,
            self.run,
            self.run,
            self.run_otherwise,
            self.end,
            self.pass_time,
            self.pass_time,
            self.leave,
            self.turn_weather,
            self.drain,
            self.restart,
            self.claim_elsewhere,
            self.finish_properly,
        )
        steps[what](which, more)
        self.hear()

    # -- what clients do --

    def allocate(self, which: int, more: int) -> None:
        sender, toolchain = _CLIENTS[which & 3], more % len(_TOOLCHAINS)
        body = encode(TOOLCHAIN, Toolchain(_TOOLCHAINS[toolchain]))
        asked = request("POST", "/api/v1/scheduler/alloc_job", body, {**OCTETS, **bearer(CLIENT_TOKEN)})
        connection = self.farm.browser.connect(sender)
        connection.say(asked)
        self._note(connection, "alloc_job", honest=True)
        self.waiting.append((self.asked[-1], toolchain, sender))

    def submit(self, which: int, more: int) -> None:
        if job := self._job(more):
            self._ask(job, "submit_toolchain", ARCHIVES[job.toolchain], honest=True)

    def submit_otherwise(self, which: int, more: int) -> None:
        if not (job := self._job(more)):
            return
        archive = ARCHIVES[job.toolchain]
        match which & 3:
            case 0:
                self._ask(job, "submit_toolchain", archive[::-1], honest=True)
            case 1:
                self._begin(job, "submit_toolchain", archive[: len(archive) // 2])
            case 2:
                connection = self._begin(job, "submit_toolchain", archive)
                if connection is not None:
                    connection.say(b"0\r\n\r\n")
            case _:
                self._begin(job, "submit_toolchain", b"x")

    def run(self, which: int, more: int) -> None:
        if job := self._job(more):
            self._ask(job, "run_job", frame(REQUEST, b"inputs"), honest=True)

    def run_otherwise(self, which: int, more: int) -> None:
        if not (job := self._job(more)):
            return
        match which & 3:
            case 0:
                self._begin(job, "run_job", frame(REQUEST, b"inputs")[:20])
            case 1:
                self._ask(job, "run_job", frame(REQUEST, b"inputs"), honest=False, kind="text/plain")
            case 2:
                self._ask(job, "run_job", b"\xff" * 40, honest=False)
            case _:
                self._ask(attrs.evolve(job, token=job.token[:-2]), "run_job", frame(REQUEST, b""), honest=False)

    def claim_elsewhere(self, which: int, more: int) -> None:
        if job := self._job(more):
            other = attrs.evolve(job, server=1 - job.server)
            route, body = (
                ("run_job", frame(REQUEST, b"inputs")),
                ("submit_toolchain", ARCHIVES[job.toolchain]),
                ("assign_job", encode(TOOLCHAIN, Toolchain(RUSTC))),
            )[which % 3]
            self._ask(job if route == "assign_job" else other, route, body, honest=False)

    def leave(self, which: int, more: int) -> None:
        there = [asked for asked in self.asked if asked.connection.connected]
        if there:
            there[more % len(there)].connection.leave()
            self.farm.reactor.advance(0)

    def finish_properly(self, which: int, more: int) -> None:
        """Make a client do all that it should, one request after the other."""
        if job := self._job(more):
            self._ask(job, "submit_toolchain", ARCHIVES[job.toolchain], honest=True)
            self._ask(job, "run_job", frame(REQUEST, b"inputs"), honest=True)
            self.farm.servers[job.server].builder.end(well=True)
            self.farm.reactor.advance(0)

    # -- what happens to the farm --

    def end(self, which: int, more: int) -> None:
        self._server(more).builder.end(well=which & 1 == 0)
        self.farm.reactor.advance(0)

    def pass_time(self, which: int, more: int) -> None:
        self.farm.pump(_SECS[more % len(_SECS)])

    def turn_weather(self, which: int, more: int) -> None:
        wires = (self.farm.scheduler_wire, *(server.wire for server in self.farm.servers))
        wires[more % len(wires)].weather = Weather(which & 3)

    def drain(self, which: int, more: int) -> None:
        if what := which >> 1 & 3:
            return self.act(what, more)
        order = "undrain" if which & 1 else "drain"
        path = f"/api/v1/admin/{order}/{SERVERS[more & 1]}"
        answer = self.farm.browser.ask(request("POST", path, b"", {**bearer(ADMIN_TOKEN), "Connection": "close"}))
        assert answer.status == 200, answer
        return None

    def act(self, what: int, more: int) -> None:
        """Kill a job, whatever becomes of it, or those of a client, or have a toolchain forgotten."""
        job = self._job(more)
        orders: tuple[dict[str, str], ...] = (
            {"action": "kill", "job": str(job.job_id if job else 7)},
            {"action": "kill", "client": _CLIENTS[more & 3]},
            {"action": "forget_toolchain", "toolchain": _TOOLCHAINS[more % len(_TOOLCHAINS)]},
        )
        body = json.dumps(orders[what - 1]).encode()
        headers = {"Content-Type": "application/json", "Connection": "close", **bearer(ADMIN_TOKEN)}
        answer = self.farm.browser.ask(request("POST", "/api/v1/admin/actions", body, headers))
        assert answer.status in (200, 404), answer

    def restart(self, which: int, more: int) -> None:
        server = self._server(more)
        server.stop()
        if which & 1:
            self.farm.pump(_SECS[more % len(_SECS)])
        server.start()
        self.farm.pump(0.1)

    # -- what is seen --

    def hear(self) -> None:
        """Note the jobs that were allocated."""
        for entry in list(self.waiting):
            asked, toolchain, sender = entry
            for answer in asked.connection.answers()[:1]:
                self.waiting.remove(entry)
                if answer.status == 200 and isinstance(given := answer.message(ALLOC_JOB_RESPONSE), AllocJobSuccess):
                    alloc = given.job_alloc
                    self.jobs.append(Job(SERVERS.index(alloc.server_id), alloc.job_id, alloc.auth, toolchain, sender))

    def settle(self) -> None:
        """Let all clients leave, repair the wires, and let time pass."""
        self._check_answers()
        for asked in self.asked:
            if asked.connection.connected:
                asked.connection.leave()
        self.hear()  # one that leaves may make room for another that waits
        for wire in (self.farm.scheduler_wire, *(server.wire for server in self.farm.servers)):
            wire.weather = Weather.FAIR
        for number in range(len(SERVERS)):
            self.drain(1, number)
        for _ in range(28):
            for server in self.farm.servers:
                server.builder.end(well=False)
            self.farm.reactor.advance(HEARTBEAT_SECS)
        self._check_remains()

    def serve(self) -> None:
        """Serve an honest client with each toolchain."""
        for toolchain in range(len(_TOOLCHAINS)):
            self.allocate(3, toolchain)
            before = len(self.jobs)
            self.hear()
            assert len(self.jobs) == before + 1, "no job for an honest client"
            job = self.jobs[-1]
            self._ask(job, "submit_toolchain", ARCHIVES[toolchain], honest=True)
            self._ask(job, "run_job", frame(REQUEST, b"inputs"), honest=True)
            self.farm.reactor.advance(0)
            self.farm.servers[job.server].builder.end(well=True)
            self.farm.reactor.advance(0)
            (answer,) = self.asked[-1].connection.answers()
            result = answer.message(RUN_JOB_RESULT)
            assert isinstance(result, JobComplete), result
            self.farm.pump(2.0)

    def _check_answers(self) -> None:
        for asked in self.asked:
            statuses = [answer.status for answer in asked.connection.answers()] if asked.connection.value() else []
            assert len(statuses) <= 1, (asked.what, statuses)
            if asked.honest:
                assert set(statuses) <= set(_WHOLE), (asked.what, asked.connection.value()[:300])
        twice = {job_id: times for job_id, times in self.farm.ran.items() if times > 1}
        assert not twice, f"ran more than once: {twice}"

    def _check_remains(self) -> None:
        answer = self.farm.browser.ask(
            request(
                "GET", "/api/v1/scheduler/status", headers={"Connection": "close", "Accept": OCTETS["Content-Type"]}
            )
        )
        status = answer.message(SCHEDULER_STATUS)
        assert (status.num_servers, status.in_progress) == (len(SERVERS), 0), status
        remains = self.farm.terms.current.snapshot()
        assert (remains.jobs, remains.waiting) == ((), 0), remains
        for server in self.farm.servers:
            assert (server.core.taken, server.core.running) == (0, 0)
            assert server.remains() == []
        held = [budget for budget in self.farm.budgets if budget.used and budget.key not in _KEPT]
        assert not held, held

    def _job(self, number: int) -> Job | None:
        return self.jobs[-1 - number % len(self.jobs)] if self.jobs else None

    def _server(self, number: int) -> Server:
        return self.farm.servers[number % len(self.farm.servers)]

    def _ask(
        self, job: Job, route: str, body: bytes, *, honest: bool, kind: str = OCTETS["Content-Type"]
    ) -> Connection | None:
        browser = self.farm.servers[job.server].browser
        if browser is None:
            return None
        connection = browser.connect(job.sender)
        headers = {"Content-Type": kind, **bearer(job.token)}
        connection.say(request("POST", f"/api/v1/distserver/{route}/{job.job_id}", body, headers))
        self._note(connection, route, honest=honest)
        return connection

    def _begin(self, job: Job, route: str, piece: bytes) -> Connection | None:
        """Begin a request and leave it unfinished."""
        browser = self.farm.servers[job.server].browser
        if browser is None:
            return None
        connection = browser.connect(job.sender)
        headers = {**OCTETS, **bearer(job.token), "Transfer-Encoding": "chunked"}
        whole = head("POST", f"/api/v1/distserver/{route}/{job.job_id}", headers) + chunked(piece)
        connection.say(whole.removesuffix(b"0\r\n\r\n"))
        self._note(connection, route, honest=False)
        return connection

    def _note(self, connection: Connection, what: str, *, honest: bool) -> None:
        self.asked.append(Asked(connection, what, honest))


#: Budgets that may still be in use when all jobs are over.
_KEPT: frozenset[str] = frozenset()

_numbers = itertools.count()


def seeds() -> Iterator[bytes]:
    """Clients that behave well, in turns; then some that do not."""
    yield bytes.fromhex("0000 0f00")
    yield bytes.fromhex("0000 0200 0400 0700 0000 0400 0700")
    yield bytes.fromhex("0000 1001 2002 0f00 0f01 0f02 0805 0f00")
    yield bytes.fromhex("0000 1301 0805 0400 1600 0700 0e00 1e00 2e00")
    yield bytes.fromhex("1b00 1b01 0000 0d00 0400 0805 0d11 0000 0f00")
    chance = random.Random(7)
    for length in (12, 24, 40, 60, 80, 100):
        for _ in range(2):
            yield chance.randbytes(length)


def attack(data: bytes) -> None:
    """Take all steps, then check what is left."""
    directory = scratch() / f"farm-{next(_numbers)}"
    with capturedLogs() as events:
        try:
            _attack(data, directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    unforeseen = [event["log_failure"].getTraceback() for event in events if "log_failure" in event]
    assert not unforeseen, unforeseen[0]


def _attack(data: bytes, directory: Path) -> None:
    farm = Farm(directory)
    farm.start()
    carried_out = Attack(farm)
    for first, second in list(zip(data[::2], data[1::2], strict=False))[:_MOST_STEPS]:
        carried_out.step(first & 15, first >> 4, second)
    carried_out.settle()
    carried_out.serve()
    farm.stop()
