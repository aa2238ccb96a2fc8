"""A scheduler that answers as none should: one line says so, and nothing grows."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from sccachedist.client import Farm, PeerError
from sccachedist.client import farm as module
from tests.cli.farm import documents as made
from tests.records.rows import job_row

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def scheduler(answer: Callable[[bytes], bytes]) -> Iterator[tuple[Farm, list[bytes]]]:
    """One on loopback that answers each request as a function says, and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as port:

        def serve() -> None:
            while True:
                try:
                    connection, _ = port.accept()
                except OSError:  # it is over
                    return
                with connection, connection.makefile("rb") as lines:
                    asked.append(lines.readline())
                    while lines.readline().strip():
                        pass
                    connection.sendall(answer(asked[-1]))

        Thread(target=serve, daemon=True).start()
        yield Farm.find(f"http://127.0.0.1:{port.getsockname()[1]}", token="hunter2", environment={}), asked
        port.shutdown(socket.SHUT_RDWR)


def said(document: object) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + b"-5\r\nabc",
        CHUNKED + b"%b\r\nabc" % (b"f" * 60_000),
        CHUNKED + b"%b\r\nabc" % (b"f" * 15),
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n{}" % (b"9" * 5000),
        b"HTTP/1.1 99999999999999999999 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        bytes(100_000),
    ],
)
def test_no_http(answer: bytes) -> None:
    """A length below nothing is one of the lengths that are none."""
    with scheduler(lambda _: answer) as (farm, _), pytest.raises(PeerError) as raised:
        farm.status()
    assert "\n" not in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_page_that_cannot_be_asked_for() -> None:
    """What a scheduler calls the next page may be half of a pair of UTF-16, which has no bytes."""
    rows = [job_row(output="0.o")]
    pages = iter([{**made.JOBS, "jobs": rows, "next": "\ud800"}, {**made.JOBS, "jobs": rows, "next": None}])
    with scheduler(lambda _: said(next(pages))) as (farm, asked):
        assert len(list(farm.records())) == 2
    assert asked[1].endswith(b"&before=%3F HTTP/1.1\r\n")


def test_a_name_that_is_no_unicode() -> None:
    """As a command line may have it."""
    with scheduler(lambda _: said(made.WHY)) as (farm, asked):
        assert farm.why("\udcff.o") == made.WHY
    assert b"name=%3F.o" in asked[0]


def test_records_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who collects them gets no more than so many bytes for each, however many pages there are."""
    monkeypatch.setattr(module, "_RECORDS_BYTES", 1 << 20)
    page = said({**made.JOBS, "jobs": [job_row(output="x" * 100_000)], "next": "1"})
    with scheduler(lambda _: page) as (farm, asked), pytest.raises(PeerError, match="far too long"):
        list(farm.records())
    assert len(asked) == 1 + (1 << 20) // (len(page) - module._RECORD_BYTES)
