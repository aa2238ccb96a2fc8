"""Rows 35 and 44: toolchains that drip in, and answers that nobody reads."""

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs
import pytest

from farmkit.busybox_jobs import id_of, shell, write_toolchain
from farmkit.processes import wait_until
from farmkit.raw_client import RawClient
from sccachedist.wire.bincode import decode
from sccachedist.wire.messages import SUBMIT_TOOLCHAIN_RESULT, JobAlloc, SubmitToolchainResult
from sccachedist.wire.run_job_frame import frame
from tests.hostile.attacks import NO_INPUTS
from tests.hostile.neighbour import Neighbour
from tests.hostile.test_jobs import begun

MIB = 1 << 20
#: What a build server keeps of all requests on its disk: one client may have half of it.
SPOOL = 120 * MIB
#: After so many seconds in which a client reads nothing of its answer it is given up.
LATE_SECS = 5


@pytest.fixture(scope="module")
def server_tables() -> Mapping[str, str]:
    """Room for a neighbour beside the slots that an attacker holds, and little patience."""
    return {"capacity": "cpus = 6", "limits": f"spool_bytes = {SPOOL}\nidle_secs = {LATE_SECS}"}


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A toolchain that no server has yet."""
    return write_toolchain(tmp_path / "fresh.tar.gz", {"/mark": secrets.token_hex()}, filler=3 * MIB)


@contextlib.contextmanager
def dripping(job: JobAlloc, archive: bytes) -> Iterator[None]:
    """An upload of 5,000 bytes now and then."""
    stop = threading.Event()
    with begun(job, "submit_toolchain", "Transfer-Encoding: chunked", chunk(archive[:5000])) as connection:

        def drip() -> None:
            at = 5000
            while not stop.wait(0.3):
                with contextlib.suppress(OSError):
                    connection.sendall(chunk(archive[at : at + 5000]))
                at += 5000

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def chunk(octets: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(octets), octets)


DRIPS: dict[str, Callable[[bytes], bytes]] = {
    "true bytes": lambda archive: archive,
    "other bytes": lambda archive: secrets.token_bytes(len(archive)),
    "other bytes from somewhere on": lambda archive: archive[:12_345] + secrets.token_bytes(len(archive)),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_row_35_an_upload_that_drips(neighbour: Neighbour, fresh: Path, drip: str) -> None:
    """Who sends a toolchain slowly, right or wrong, keeps it from nobody: another client brings it and uses it."""
    attacker, archive, toolchain = neighbour.attacker, fresh.read_bytes(), id_of(fresh)
    victim = attrs.evolve(attacker, address="127.0.0.3")
    with neighbour.served(35), dripping(attacker.slot(toolchain).job_alloc, DRIPS[drip](archive)):
        job = victim.slot(toolchain).job_alloc
        began = time.monotonic()
        said = victim.submit(job, archive)
        assert decode(SUBMIT_TOOLCHAIN_RESULT, said.body) is SubmitToolchainResult.SUCCESS
        assert b"marked" in victim.run(job, shell("/bin/busybox test -e /mark && echo marked"), NO_INPUTS).body
        assert time.monotonic() - began < 5
        later = victim.slot(toolchain)
        assert not later.need_toolchain
        assert victim.run(later.job_alloc, shell("true"), NO_INPUTS).status == 200
    neighbour.unharmed()


def test_row_35_many_uploads_are_stored_once(neighbour: Neighbour, fresh: Path) -> None:
    """Clients that bring the same at the same time are written to the disk once, and all of them are well served."""
    attacker, archive = neighbour.attacker, fresh.read_bytes()
    half, toolchain = len(archive) // 2, id_of(fresh)
    incoming = neighbour.farm.server_folder / "cache" / "incoming"
    with neighbour.served(35), contextlib.ExitStack() as stack:
        jobs = [attacker.slot(toolchain).job_alloc for _ in range(4)]
        head, first = "Transfer-Encoding: chunked", chunk(archive[:half])
        uploads = [stack.enter_context(begun(job, "submit_toolchain", head, first)) for job in jobs]
        wait_until(lambda: size_of(incoming) >= half, 10, "the first half is there")
        for upload in uploads:
            upload.sendall(chunk(archive[half:])[:-2])
        wait_until(lambda: size_of(incoming) >= len(archive), 10, "all of it is there")
        assert size_of(incoming) == len(archive)
        for upload in uploads:
            upload.sendall(b"\r\n0\r\n\r\n")
            assert b"200 OK" in upload.recv(4096)
        for job in jobs:
            assert attacker.run(job, shell("true"), NO_INPUTS).status == 200
    neighbour.unharmed()


def size_of(folder: Path) -> int:
    """The bytes of the files in a folder."""
    sizes = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # it has just gone
            sizes.append(path.stat().st_size)
    return sum(sizes)


def test_row_44_unread_answers(neighbour: Neighbour) -> None:
    """They are bounded together, keep their slots until they are taken, and are not kept for long."""
    attacker, farm = neighbour.attacker, neighbour.farm
    with neighbour.served(44), contextlib.ExitStack() as stack:
        connections = [stack.enter_context(unread(attacker, neighbour)) for _ in range(4)]
        heads = [connection.recv(12) for connection in connections]
        assert sorted(heads) == [b"HTTP/1.1 200"] * 2 + [b"HTTP/1.1 500"] * 2
        assert unlinked(farm.server.process.pid) <= SPOOL / 2
        assert farm.status().in_progress >= 2, "their slots are taken"
        wait_until(lambda: unlinked(farm.server.process.pid) == 0, 4 * LATE_SECS, "no answer is kept")
    neighbour.unharmed()


@contextlib.contextmanager
def unread(attacker: RawClient, neighbour: Neighbour) -> Iterator[socket.socket]:
    """A job with a large answer, whose client reads a few bytes of it."""
    job = attacker.ready(neighbour.archive, neighbour.toolchain)
    made = shell(f"/bin/busybox dd if=/dev/urandom of=/made bs={MIB} count=25", "/made")
    body = frame(made, NO_INPUTS)
    head = f"Content-Type: application/octet-stream\r\nContent-Length: {len(body)}"
    with begun(job, "run_job", head, body) as connection:
        connection.settimeout(60)
        yield connection


def unlinked(pid: int) -> int:
    """The bytes of the files of a build server's spool that have no name any more, and are kept all the same."""
    found = 0
    for entry in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            path = f"/proc/{pid}/fd/{entry}"
            if ".inputs (deleted)" in os.readlink(path):
                found += os.stat(path).st_size
    return found
