"""Rows 39, 40 and 50: what is cheap to send and costs a daemon the time that others need."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping

import pytest

from sccachedist.wire.bincode import U64, encode
from sccachedist.wire.extension import JOB_STATES, JobStates
from sccachedist.wire.messages import CompileCommand, JobId, JobState, RunJobRequest
from sccachedist.wire.tokens import server_token
from tests.hostile.neighbour import Neighbour
from tests.hostile.ports import Port, again, flood, ports

#: For how long each attack goes on, and the most that one connection may send in that time: what the kernels buffer
#: comes on top of a megabyte.
SECS, MOST_BYTES = 1, 16 << 20
HUGE = U64, 1 << 62
COMMANDS = {
    "empty arguments": RunJobRequest(CompileCommand("cc", ("",) * 500_000, (), "/"), ()),
    "empty variables": RunJobRequest(CompileCommand("cc", (), (("", ""),) * 250_000, "/"), ()),
    "empty outputs": RunJobRequest(CompileCommand("cc", (), (), "/"), ("",) * 500_000),
    "all that is allowed": RunJobRequest(
        CompileCommand("/bin/sh", ("",) * 65_535, (("a", "b"),) * 65_536, "/"), ("x",) * 1024
    ),
    "long arguments": RunJobRequest(CompileCommand("/bin/sh", ("x" * 32,) * 65_536, (), "/"), ()),
}


def together(*works: Callable[[], object]) -> None:
    """Do several things at a time."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("kind", COMMANDS)
def test_row_39_a_command_of_many_texts(neighbour: Neighbour, kind: str) -> None:
    """Four megabytes of texts hold nobody up; their client compiles locally, or its job is tried."""
    attacker = neighbour.attacker
    with neighbour.served(39):
        for _ in range(3):
            job = attacker.ready(neighbour.archive, neighbour.toolchain)
            said = attacker.run(job, COMMANDS[kind], b"")
            assert said.status in (0, 200, 500), said
    neighbour.unharmed()


def test_row_39_messages_of_many_items(neighbour: Neighbour) -> None:
    """Neither do a megabyte of job states from a build server, nor toolchains whose text has no end."""
    states = encode(JOB_STATES, JobStates(1, 1, tuple((JobId(number), JobState.READY) for number in range(80_000))))
    farm = neighbour.farm
    token = server_token(farm.server_key, farm.server_id)
    with neighbour.served(39):
        for _ in range(10):
            assert neighbour.attacker.ask("job_states", states, token).status == 400
            said = neighbour.attacker.ask("alloc_job", encode(*HUGE), farm.client_token)
            assert said.status == 400, said
    neighbour.unharmed()


TINY = b"1\r\nx\r\n" * 10_000
FRAMINGS: Mapping[str, bytes] = {
    "one-byte chunks": TINY,
    "extensions": b"1;" + b"x" * 1000 + b"\r\ny\r\n",
    "trailers": b"0\r\n" + b"Trailer: x\r\n" * 5000,
    "no chunks": b"x" * 60_000,
}


def upload(port: Port, path: str, token: str) -> bytes:
    """The head of a body in chunks."""
    return (
        f"POST /api/v1/{port.name}/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("kind", FRAMINGS)
@pytest.mark.parametrize("path", ["elsewhere", "alloc_job", "run_job/7", "submit_toolchain/7"])
def test_row_40_a_body_in_tiny_chunks(neighbour: Neighbour, kind: str, path: str) -> None:
    """What is refused is not decoded, and what is not refused is bounded; a megabyte more is taken of neither."""
    sent: list[int] = []

    def attack(port: Port) -> None:
        until = time.monotonic() + SECS
        while time.monotonic() < until:
            with contextlib.suppress(OSError), contextlib.closing(port.connect()) as connection:
                connection.sendall(upload(port, path, "wrong"))
                sent.append(flood(connection, again(FRAMINGS[kind]), SECS))

    with neighbour.served(40):
        together(*(lambda port=port: attack(port) for port in ports(neighbour.farm) for _ in range(2)))
    assert max(sent) < MOST_BYTES
    neighbour.unharmed()


def test_row_40_an_upload_in_tiny_chunks(neighbour: Neighbour) -> None:
    """Who may upload may not do so by the byte."""
    allocated = neighbour.attacker.slot("0" * 64)
    _, server = ports(neighbour.farm)
    with neighbour.served(40), contextlib.closing(server.connect()) as connection:
        connection.sendall(upload(server, f"submit_toolchain/{allocated.job_alloc.job_id}", allocated.job_alloc.auth))
        assert flood(connection, again(TINY), SECS) < MOST_BYTES
    assert "(limit: framing_bytes)" in neighbour.farm.server.log.read_text()
    neighbour.unharmed()


FLOODS: Mapping[str, tuple[bytes, bytes]] = {
    "requests in one read": (b"", b"GET /api/v1/scheduler/status HTTP/1.1\r\n\r\n" * 1000),
    "bytes": (b"GET /", b"x"),
    "empty lines": (b"", b"\r\n" * 10_000),
    "headers": (b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 1000),
    "a long Accept": (b"", b"GET /api/v1/scheduler/status HTTP/1.1\r\nAccept: " + b"a/b;q=0.1," * 1400 + b"\r\n\r\n"),
    "a long path": (b"", b"GET " + b"/a" * 7000 + b" HTTP/1.1\r\n\r\n"),
    "a long query": (b"", b"GET /api/v1/scheduler/status?" + b"a&" * 7000 + b" HTTP/1.1\r\n\r\n"),
    "escapes": (b"", b"GET /api/v1/scheduler/server_certificate/" + b"%31" * 4000 + b" HTTP/1.1\r\n\r\n"),
    "a long token": (
        b"",
        b"POST /api/v1/scheduler/alloc_job HTTP/1.1\r\nAuthorization: Bearer " + b"W" * 15_000 + b"\r\n\r\n",
    ),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_row_40_many_small_things(neighbour: Neighbour, kind: str) -> None:
    """A client that asks much, in whatever pieces, waits for its turn; others do not wait for it."""
    begun, more = FLOODS[kind]

    def attack(port: Port) -> None:
        for _ in range(5):
            with contextlib.suppress(OSError), contextlib.closing(port.connect()) as connection:
                connection.sendall(begun)
                flood(connection, again(more), SECS / 5)

    with neighbour.served(40):
        together(*(lambda port=port: attack(port) for port in ports(neighbour.farm) for _ in range(3)))
    neighbour.unharmed()


ODD: Mapping[str, tuple[bytes, int]] = {
    "a length of 5,000 digits": (b"Content-Length: " + b"9" * 5000, 500),
    "two lengths": (b"Content-Length: 1\r\nContent-Length: 2", 400),
    "two equal lengths": (b"Content-Length: 1\r\nContent-Length: 1", 400),
    "a list of lengths": (b"Content-Length: 1, 1", 400),
    "a length and chunks": (b"Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
    "two codings": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
    "identity before chunks": (b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", 400),
    "a continued line": (b"X: a\r\n b", 400),
    "a space before the colon": (b"Transfer-Encoding : chunked", 400),
    "a NUL": (b"X: a\0b", 400),
    "a bare line feed": (b"X: a\nTransfer-Encoding: chunked", 400),
    "two hosts": (b"Host: a\r\nHost: b", 400),
}


def test_row_50_what_can_be_understood_in_two_ways(neighbour: Neighbour) -> None:
    """It is refused before anything is made of it, and what follows it is no request."""
    with neighbour.served(50):
        for kind, (head, expected) in ODD.items():
            for port in ports(neighbour.farm):
                line = f"POST /api/v1/{port.name}/alloc_job HTTP/1.1\r\n".encode()
                said = port.ask(line + head + b"\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n")
                assert said == expected, (kind, port, said)
    for daemon in (neighbour.farm.scheduler, neighbour.farm.server):
        assert "Traceback" not in daemon.log.read_text()
    neighbour.unharmed()
