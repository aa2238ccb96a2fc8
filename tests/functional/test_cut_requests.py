"""Requests of every kind that break off in every phase, by a reset or half: what is left of them, and who is served."""

import contextlib
import os
import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.fake_server import FakeServer
from farmkit.farm import Farm
from farmkit.launch import OUR_SERVER, adding
from farmkit.processes import wait_until
from farmkit.raw_client import RawClient, unverified
from sccachedist.wire.bincode import encode
from sccachedist.wire.extension import JOB_STATES, Availability, JobStates
from sccachedist.wire.messages import (
    JOB_STATE,
    TOOLCHAIN,
    JobAlloc,
    JobComplete,
    JobId,
    JobState,
    SubmitToolchainResult,
    Toolchain,
)
from sccachedist.wire.run_job_frame import frame
from sccachedist.wire.tokens import job_token, server_token
from tests.functional.conftest import running_farm
from tests.support.crowd import closed_by_the_other_end
from tests.support.processes import opened
from tests.support.slots import all_slots_free

pytestmark = pytest.mark.functional

PHASES = (
    "before the head",
    "within the head",
    "after the head",
    "within the body",
    "before the answer",
    "within the answer",
)
HOW = ("reset", "half-closed")
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing is a reset
#: A job whose answer does not fit into any buffer on its way.
LARGE = shell("/bin/busybox dd if=/dev/urandom of=/made bs=1M count=16", "/made")
_TRIES = 10


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm with room for the slots that clients never heard of: they come back when their time is over."""
    server = adding(OUR_SERVER, capacity="cpus = 32")
    farm = Farm(tmp_path_factory.mktemp("farm"), launch_server=server)
    for running in running_farm(farm):
        yield running
        all_slots_free(farm, 100)


@attrs.frozen
class Asked:
    """A request as it travels.

    :param after: what an honest peer can do afterwards, given the phase in which it was cut.
    """

    port: int
    head: bytes
    body: bytes
    tls: bool = False
    after: Callable[[str], object] = lambda _: None

    def until(self, phase: str) -> bytes:
        """What has been sent by then."""
        half = len(self.head) // 2
        return {
            "before the head": b"",
            "within the head": self.head[:half],
            "after the head": self.head,
            "within the body": self.head + self.body[: len(self.body) // 2],
        }.get(phase, self.head + self.body)


@attrs.frozen
class Cutting:
    """An attacker who has a token of each kind for a farm."""

    farm: Farm
    archive: Path
    inputs: Path
    fake: FakeServer

    @property
    def client(self) -> RawClient:
        """An honest client."""
        return RawClient.of(self.farm, strict=True)

    def alloc_job(self) -> Asked:
        body = encode(TOOLCHAIN, Toolchain(id_of(self.archive)))
        return self._to_scheduler("alloc_job", self.farm.client_token, body)

    def heartbeat_server(self) -> Asked:
        body = self.fake.naming(1, {}, Availability.DRAINING)
        return self._to_scheduler("heartbeat_server", self.fake.token, body)

    def job_state(self) -> Asked:
        job = self.client.slot(id_of(self.archive)).job_alloc
        token = server_token(self.farm.server_key, self.farm.server_id)
        asked = self._to_scheduler(f"job_state/{job.job_id}", token, encode(JOB_STATE, JobState.READY))
        return attrs.evolve(asked, after=lambda _: self.client.run_job(job, shell("true"), self.inputs))

    def job_states(self) -> Asked:
        attacker = RawClient(attrs.evolve(self.farm.server_id, port=self.farm.scheduler_port), "")
        assert self.fake.name(attacker, 1, {}, Availability.DRAINING).status == 200
        states = JobStates(self.fake.nonce, 2, tuple((JobId(number), JobState.COMPLETE) for number in range(9)))
        return self._to_scheduler("job_states", self.fake.token, encode(JOB_STATES, states))

    def assign_job(self) -> Asked:
        job_id, toolchain = JobId(secrets.randbits(40)), id_of(self.archive)
        key = (self.farm.server_folder / "cache" / "identity" / "job.key").read_bytes()
        job = JobAlloc(job_token(key, job_id, toolchain), job_id, self.farm.server_id)

        def run(_: str) -> None:
            assert isinstance(self.client.run_job(job, shell("true"), self.inputs), JobComplete)

        body = encode(TOOLCHAIN, Toolchain(toolchain))
        return self._to_server(f"assign_job/{job_id}", job_token(key, job_id), body, run)

    def submit_toolchain(self) -> Asked:
        archive = write_toolchain(self.archive.with_name("brought.tar.gz"), {"/mark": secrets.token_hex()})
        job = self.client.slot(id_of(archive)).job_alloc

        def bring(phase: str) -> None:
            over = phase in PHASES[2:4]  # the job is, whose upload has broken off: another client brings the toolchain
            again = self.client.slot(id_of(archive)).job_alloc if over else job
            assert self.client.submit_toolchain(again, archive) is SubmitToolchainResult.SUCCESS
            assert isinstance(self.client.run_job(again, shell("true"), self.inputs), JobComplete)

        return self._to_server(f"submit_toolchain/{job.job_id}", job.auth, archive.read_bytes(), bring)

    def run_job(self) -> Asked:
        job = self.client.slot(id_of(self.archive)).job_alloc

        def run(phase: str) -> None:
            if phase in PHASES[:2]:  # the build server knows nothing of the first try
                assert isinstance(self.client.run_job(job, shell("true"), self.inputs), JobComplete)

        return self._to_server(f"run_job/{job.job_id}", job.auth, frame(LARGE, self.inputs.read_bytes()), run)

    def _to_scheduler(self, path: str, token: str, body: bytes) -> Asked:
        return Asked(self.farm.scheduler_port, _head(f"scheduler/{path}", token, len(body)), body)

    def _to_server(self, path: str, token: str, body: bytes, after: Callable[[str], object] = lambda _: None) -> Asked:
        return Asked(self.farm.server_port, _head(f"distserver/{path}", token, len(body)), body, True, after)

    def served_at_once(self) -> None:
        """An honest job takes less than a second; other tests run meanwhile, so it may try again."""

        def secs() -> float:
            began = time.monotonic()
            job = self.client.slot(id_of(self.archive)).job_alloc
            assert isinstance(self.client.run_job(job, shell("true"), self.inputs), JobComplete)
            return time.monotonic() - began

        assert any(secs() < 1 for _ in range(_TRIES))

    def kept_files(self) -> list[Path]:
        """What requests have on the build server's disk."""
        cache = self.farm.server_folder / "cache"
        return [*cache.joinpath("incoming").iterdir(), *cache.joinpath("spool").iterdir()]


def _head(path: str, token: str, length: int) -> bytes:
    lines = (
        f"POST /api/v1/{path} HTTP/1.1",
        "Host: farm",
        f"Authorization: Bearer {token}",
        "Content-Type: application/octet-stream",
        f"Content-Length: {length}",
    )
    return "\r\n".join((*lines, "", "")).encode()


@pytest.fixture(scope="module")
def cutting(farm: Farm, tmp_path_factory: pytest.TempPathFactory) -> Cutting:
    """A farm that has the toolchain of an honest client already."""
    folder = tmp_path_factory.mktemp("cutting")
    archive = write_toolchain(folder / "toolchain.tar.gz", {})
    inputs = write_inputs(folder / "inputs", {"/input": os.urandom(200_000)})
    cutting = Cutting(farm, archive, inputs, FakeServer(farm, folder / "fake"))
    job = cutting.client.slot(id_of(archive)).job_alloc
    assert cutting.client.submit_toolchain(job, archive) is SubmitToolchainResult.SUCCESS
    assert isinstance(cutting.client.run_job(job, shell("true"), inputs), JobComplete)
    return cutting


@pytest.fixture(scope="module")
def at_rest(cutting: Cutting) -> dict[int, int]:
    """How many sockets each daemon has when nobody is connected."""
    farm = cutting.farm
    return {daemon.process.pid: sockets(daemon.process.pid) for daemon in (farm.scheduler, farm.server)}


REQUESTS = {
    asked.__name__: asked
    for asked in (
        Cutting.alloc_job,
        Cutting.heartbeat_server,
        Cutting.job_state,
        Cutting.job_states,
        Cutting.assign_job,
        Cutting.submit_toolchain,
        Cutting.run_job,
    )
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("request_of", REQUESTS)
def test_cut(cutting: Cutting, at_rest: dict[int, int], request_of: str, phase: str, how: str) -> None:
    """No connection, file or slot is left of it, what was cut can be done, and the next job is served at once."""
    farm, taken = cutting.farm, cutting.farm.status().in_progress
    asked = REQUESTS[request_of](cutting)
    with contextlib.closing(connect(asked)) as connection:
        connection.sendall(asked.until(phase))
        wait_until(lambda: is_read(connection), 10, "the daemon has read it")  # a reset would take the rest away
        if phase == "within the answer":
            assert connection.recv(1)
        break_off(connection, how)
        if how == "half-closed":
            assert closed_by_the_other_end([connection], 10) == 1
    asked.after(phase)
    cutting.served_at_once()
    unheard = request_of == "alloc_job" and phase in PHASES[-2:]  # its client does not know that it has a slot
    wait_until(lambda: farm.status().in_progress <= taken + unheard, 10, "no slot is taken")
    wait_until(lambda: cutting.kept_files() == [], 10, "no file is left")
    for pid, most in at_rest.items():
        wait_until(lambda pid=pid, most=most: sockets(pid) <= most + 2, 10, "no connection is left")  # type: ignore[misc]


def connect(asked: Asked) -> socket.socket:
    """A connection to whom it is for."""
    plain = socket.create_connection(("127.0.0.1", asked.port), timeout=20)
    return unverified().wrap_socket(plain) if asked.tls else plain


def is_read(connection: socket.socket) -> bool:
    """Whether nothing is under way to the other end, and that has read all, which is on this machine."""
    ours = f"0100007F:{connection.getsockname()[1]:04X}"
    table = (line.split()[1:5] for line in Path("/proc/net/tcp").read_text().splitlines())
    waiting = [queues.split(":")[remote == ours] for local, remote, _, queues in table if ours in (local, remote)]
    return set(waiting) <= {"00000000"}


def break_off(connection: socket.socket, how: str) -> None:
    """End a connection rudely, or leave it half."""
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()
    else:
        connection.shutdown(socket.SHUT_WR)


def sockets(pid: int) -> int:
    """How many a process has open; what it keeps for its sandbox workers are pipes."""
    return sum(name.startswith("socket:") for name in opened(pid))
