"""Rows 38 and 42: clients that take slots, or places in the queue, and do not use them."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from http.client import HTTPConnection

import attrs
import pytest

from farmkit.raw_client import OCTETS, RawClient, unverified
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.messages import ALLOC_JOB_RESPONSE, TOOLCHAIN, AllocJobFail, AllocJobSuccess, Toolchain
from tests.hostile.attacks import fresh_id
from tests.hostile.neighbour import Neighbour

#: How many may wait for a slot.
MOST_WAITING = 100
#: How many requests of an attack are under way at a time.
AT_ONCE = 20
#: For how long each attack goes on; and at most, until it has been answered.
SECS, MOST_SECS = 3.0, 30.0


@pytest.fixture(scope="module")
def scheduler_tables() -> Mapping[str, str]:
    """A queue that can be filled."""
    return {"queue": f"max_waiting = {MOST_WAITING}"}


@pytest.fixture(scope="module", autouse=True)
def _no_slot_is_taken_in_the_end(neighbour: Neighbour) -> Iterator[None]:
    """Not even by jobs that no client came for: all tests wait together until these are given up."""
    yield
    neighbour.all_slots_free()


@attrs.frozen
class Leaving(RawClient):
    """A client that can go away while its requests are under way."""

    _connections: list[HTTPConnection] = attrs.field(factory=list, init=False, eq=False)

    def connect(self, server: ServerId | None = None) -> HTTPConnection:
        connection = super().connect(server)
        self._connections.append(connection)
        return connection

    def leave(self) -> None:
        """End the requests that are under way."""
        for connection in self._connections:
            with contextlib.suppress(OSError, AttributeError):  # it is closed, or not open yet
                connection.sock.shutdown(socket.SHUT_RDWR)


def attackers(neighbour: Neighbour, *addresses: str) -> list[Leaving]:
    """An attacker with several addresses."""
    attacker = Leaving.of(neighbour.farm, strict=False)
    return [attrs.evolve(attacker, address=address) for address in addresses]


def many(neighbour: Neighbour, count: int) -> list[Leaving]:
    """An attacker with so many addresses."""
    return attackers(neighbour, *(f"127.0.1.{1 + number}" for number in range(count)))


@contextlib.contextmanager
def going_on(attack: Callable[[Leaving], object], those: Sequence[Leaving]) -> Iterator[None]:
    """An attack that is repeated twenty times at once until the block ends; then its clients go away."""
    over = threading.Event()

    def repeat(number: int) -> None:
        while not over.is_set():
            attack(those[number % len(those)])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        attacking = [pool.submit(repeat, number) for number in range(AT_ONCE)]
        try:
            yield
        finally:
            over.set()
            while wait(attacking, 0.05).not_done:  # one more request may have been begun
                for attacker in those:
                    attacker.leave()
    for each in attacking:
        each.result()


@pytest.mark.parametrize("addresses", [1, 12])
def test_row_38_slots_for_random_toolchains(neighbour: Neighbour, addresses: int) -> None:
    """Twenty requests at a time for slots that nobody comes for, from one address or from many, hold nobody up."""
    with neighbour.served(38), going_on(lambda attacker: attacker.alloc(fresh_id()), many(neighbour, addresses)):
        time.sleep(SECS)
    neighbour.serves()


def test_row_38_slots_for_a_toolchain_that_is_there(neighbour: Neighbour) -> None:
    """Nor do slots that need no upload, of a client that has come for other jobs."""
    (attacker,) = attackers(neighbour, "127.0.2.1")
    attacker.ready(neighbour.archive, neighbour.toolchain)
    with neighbour.served(38), going_on(lambda attacker: attacker.alloc(neighbour.toolchain), [attacker]):
        time.sleep(SECS)


def test_row_38_uploads_that_drip(neighbour: Neighbour) -> None:
    """Nor do uploads that have begun and come byte by byte."""
    with contextlib.ExitStack() as open_uploads:

        def attack(attacker: Leaving) -> None:
            allocated = attacker.alloc(fresh_id())
            if isinstance(allocated, AllocJobSuccess):
                job = allocated.job_alloc
                raw = socket.create_connection((str(job.server_id.host), job.server_id.port), 10)
                secure = open_uploads.enter_context(unverified().wrap_socket(raw))
                secure.sendall(
                    f"POST /api/v1/distserver/submit_toolchain/{job.job_id} HTTP/1.1\r\nHost: x\r\n"
                    f"Authorization: Bearer {job.auth}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n".encode()
                )

        with neighbour.served(38), going_on(attack, many(neighbour, 4)):
            time.sleep(SECS)


def test_row_38_a_client_that_is_late_has_its_job(neighbour: Neighbour) -> None:
    """A slot that was lent to others is not refused to the client that comes for it after all."""
    attacker = attrs.evolve(neighbour.attacker, address="127.0.2.2")
    late = attacker.ready(neighbour.archive, neighbour.toolchain)
    time.sleep(1.5)
    neighbour.still_runs(late)


def test_row_42_one_client_fills_the_queue(neighbour: Neighbour) -> None:
    """A client that asks for three times as many slots as may wait is refused so that its compiles run locally.

    Others wait all the same, and are served.
    """
    attacker = attrs.evolve(neighbour.attacker, address="127.0.2.3")
    answers: list[object] = []
    with neighbour.served(42), contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(asking(attacker)) for _ in range(3 * MOST_WAITING)]
        began = time.monotonic()
        while time.monotonic() < began + (SECS if len(answers) >= 2 * MOST_WAITING else MOST_SECS):
            answers += [answer for answer in map(answered, waiting) if answer is not None]
            time.sleep(0.1)
    refused = [answer for answer in answers if isinstance(answer, AllocJobFail)]
    # Some of those that waited may have got a slot while the last ones were being sent.
    assert len(answers) >= 2 * MOST_WAITING, len(answers)
    assert len(refused) >= MOST_WAITING, len(refused)
    assert all("queue.max_waiting" in answer.msg for answer in refused)
    assert all(isinstance(answer, AllocJobFail | AllocJobSuccess) for answer in answers), answers
    neighbour.serves()


@contextlib.contextmanager
def asking(attacker: RawClient) -> Iterator[socket.socket]:
    """A request for a slot that is not waited for."""
    body = encode(TOOLCHAIN, Toolchain(fresh_id()))
    with socket.create_connection(
        (str(attacker.scheduler.host), attacker.scheduler.port), 10, (attacker.address, 0)
    ) as connection:
        headers = {**OCTETS, "Authorization": f"Bearer {attacker.client_token}", "Content-Length": len(body)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(
            f"POST /api/v1/scheduler/alloc_job HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n".encode() + body
        )
        connection.setblocking(False)
        yield connection


def answered(connection: socket.socket) -> object | None:
    """What a request was answered with, if it was just now."""
    try:
        octets = connection.recv(1 << 16)
    except BlockingIOError:
        return None
    if not octets:
        return None
    head, _, body = octets.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), octets
    return decode(ALLOC_JOB_RESPONSE, body)
