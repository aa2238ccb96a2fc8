"""Heads of requests: understood in one way, or refused."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.web.parsing import END, Fields, RequestLine, head_of, parse_head, take_head

LINE = b"POST /upload/7 HTTP/1.1"


def parsed(*fields: bytes, line: bytes = LINE) -> Fields:
    return parse_head(b"\r\n".join([line, *fields]), 100)[1]


def test_large() -> None:
    """A head is too large whether its end has come or not."""
    octets = LINE + b"\r\nX: " + b"x" * 100
    assert take_head(bytearray(octets + END), 0, len(octets), 100)[1] is not None
    assert take_head(bytearray(octets), 0, len(octets), 100)[1] is None
    for most, said in ((len(octets) - 1, octets + END), (len(octets) - 1 - len(END), octets)):
        with pytest.raises(LimitExceeded, match="large head"):
            take_head(bytearray(said), 0, most, 100)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET /status HTTP/1.1", RequestLine(b"GET", b"/status", b"HTTP/1.1")),
        (b"GET /status HTTP/1.0", RequestLine(b"GET", b"/status", b"HTTP/1.0")),
        (b"GET /status?a=b&c=%20 HTTP/1.1", RequestLine(b"GET", b"/status", b"HTTP/1.1", b"a=b&c=%20")),
        (b"GET http://127.0.0.1:10600/status?a HTTP/1.1", RequestLine(b"GET", b"/status", b"HTTP/1.1", b"a")),
        (b"GET HTTPS://[::1] HTTP/1.1", RequestLine(b"GET", b"/", b"HTTP/1.1")),
        (b"GET /a//b/../%2e HTTP/1.1", RequestLine(b"GET", b"/a//b/../%2e", b"HTTP/1.1")),
        (b"OPTIONS * HTTP/1.1", RequestLine(b"OPTIONS", b"*", b"HTTP/1.1")),
        (b"CONNECT a:1 HTTP/1.1", RequestLine(b"CONNECT", b"a:1", b"HTTP/1.1")),
    ],
)
def test_request_line(line: bytes, expected: RequestLine) -> None:
    """A target is a path or a URL; its query stands by itself."""
    assert parse_head(line, 100)[0] == expected


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET",
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b"G(T / HTTP/1.1",
        b"GET / HTTP/2.0",
        b"GET / HTTP/1.11",
        b"GET / http/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /\n HTTP/1.1",
    ],
)
def test_no_request_line(line: bytes) -> None:
    """What is no request line is refused."""
    with pytest.raises(DecodeError):
        parse_head(line, 100)


def test_fields() -> None:
    """Names mean the same in any case, white space around values means nothing, the first value counts."""
    fields = parsed(b"Accept:\t */* ", b"X-A:1", b"x-a: 2", b"Empty:", b"Colon: a:b", b"Latin: \xe9")
    assert fields.values == {"accept": "*/*", "x-a": "1", "empty": "", "colon": "a:b", "latin": "é"}
    assert (fields.length, fields.persistent, fields.expects) == (0, True, False)


@pytest.mark.parametrize(
    "field",
    [
        b"no colon",
        b": no name",
        b"Name : x",
        b" Name: x",
        b"\tName: x",
        b"Na me: x",
        b"N\xe4me: x",
        b"Name: x\0y",
        b"Name: x\ry",
        b"Name: x\ny",
        b"Name: x\x1by",
        b"Name: x\x7f",
        b"",
    ],
)
def test_no_fields(field: bytes) -> None:
    """What is no header, or continues one on a second line, is refused."""
    with pytest.raises(DecodeError):
        parsed(b"Accept: */*", field)


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ((), 0),
        ((b"Content-Length: 0",), 0),
        ((b"content-length: 0012",), 12),
        ((b"Content-Length: 9999999999999999999",), 9999999999999999999),
        ((b"Transfer-Encoding: chunked",), None),
        ((b"transfer-encoding: CHUNKED ",), None),
    ],
)
def test_length(fields: tuple[bytes, ...], length: int | None) -> None:
    """How long the body is, or that it comes in chunks."""
    assert parsed(*fields).length == length


@pytest.mark.parametrize(
    "fields",
    [
        (b"Content-Length: -1",),
        (b"Content-Length: +1",),
        (b"Content-Length: 1_0",),
        (b"Content-Length: 0x1",),
        (b"Content-Length: 1, 1",),
        (b"Content-Length:",),
        (b"Content-Length: \xb2",),
        (b"Content-Length: 1", b"Content-Length: 1"),
        (b"Content-Length: 1", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
        (b"Transfer-Encoding: identity",),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: chunked, chunked",),
        (b"Transfer-Encoding: \x0bchunked",),
        (b"Transfer-Encoding:",),
        (b"Host: a", b"Host: b"),
    ],
)
def test_two_meanings(fields: tuple[bytes, ...]) -> None:
    """A request whose end can be seen in two places is refused, as is one for two hosts."""
    with pytest.raises(DecodeError):
        parsed(*fields)


def test_chunks_in_1_0() -> None:
    """HTTP/1.0 knows no chunks."""
    with pytest.raises(DecodeError):
        parsed(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0")


@pytest.mark.parametrize("digits", [20, 5000, 16_000])
def test_a_length_without_end(digits: int) -> None:
    """A length of thousands of digits is not even read: a client compiles locally."""
    with pytest.raises(LimitExceeded):
        parsed(b"Content-Length: " + b"9" * digits)


def test_many_headers() -> None:
    """No more headers are taken than may come."""
    assert len(parse_head(LINE + b"".join(b"\r\nX-%d: x" % n for n in range(5)), 5)[1].values) == 5
    with pytest.raises(LimitExceeded):
        parse_head(LINE + b"\r\nX: x" * 6, 5)


@pytest.mark.parametrize(
    ("version", "connection", "persistent"),
    [
        (b"1.1", (), True),
        (b"1.1", (b"keep-alive",), True),
        (b"1.1", (b"close",), False),
        (b"1.1", (b"TE, Close",), False),
        (b"1.1", (b"TE", b"close"), False),
        (b"1.0", (), False),
        (b"1.0", (b"keep-alive",), False),
    ],
)
def test_persistent(version: bytes, connection: tuple[bytes, ...], persistent: bool) -> None:
    """A connection is kept unless its peer says otherwise or is old."""
    fields = parsed(*(b"Connection: " + each for each in connection), line=b"GET / HTTP/" + version)
    assert fields.persistent is persistent


@pytest.mark.parametrize(
    ("version", "expect", "expects"),
    [
        (b"1.1", b"100-continue", True),
        (b"1.1", b"100-Continue", True),
        (b"1.0", b"100-continue", False),
        (b"1.1", b"x", False),
    ],
)
def test_expects(version: bytes, expect: bytes, expects: bool) -> None:
    """A client that waits to be told to go on is one of HTTP/1.1."""
    assert parsed(b"Expect: " + expect, line=b"POST / HTTP/" + version).expects is expects


def test_head() -> None:
    """What a route decides on."""
    line, fields = parse_head(LINE + b"\r\nContent-Length: 3\r\nAuthorization: Bearer x", 100)
    head = head_of(line, fields, "127.0.0.1")
    assert (head.method, head.path, head.length, head.token, head.peer) == ("POST", "/upload/7", 3, "x", "127.0.0.1")


@given(st.binary())
def test_any_bytes(head: bytes) -> None:
    """Whatever bytes come, they are a head or refused."""
    with contextlib.suppress(DecodeError, LimitExceeded):
        parse_head(head, 10)


@pytest.mark.parametrize(
    "head",
    [
        LINE + b"\r\nX:" + b" " * 8000 + b"x" * 8000 + b"\x01",
        LINE + b"\r\n" + b"!" * 16_000,
        b"GET " + b"/" * 16_000 + b" HTTP/1.2",
        b"GET http://" + b":" * 16_000 + b" HTTP/1.1",
        b"A" * 16_000,
        LINE + b"\r\nConnection: " + b"," * 16_000,
        LINE + b"".join(b"\r\n%d:%s" % (n, b" " * 150) for n in range(99)),
    ],
)
def test_takes_no_time(head: bytes) -> None:
    """No head of 16 KB takes more than a few milliseconds: the best of five, for garbage may be collected meanwhile."""
    took = []
    for _ in range(5):
        began = time.thread_time()
        with contextlib.suppress(DecodeError):
            parse_head(head, 100)
        took.append(time.thread_time() - began)
    assert min(took) < 0.005


def test_headers_that_decide() -> None:
    """Those that came twice are named, however they are written, and whether or not they say the same."""
    assert parsed(b"Authorization: Bearer a", b"X-Real-IP: 192.0.2.1", b"Accept: a").repeated == ()
    twice = parsed(b"X-Real-IP: 192.0.2.1", b"authorization: Bearer a", b"AUTHORIZATION: Bearer a", b"x-real-ip: ::1")
    assert set(twice.repeated) == {"authorization", "x-real-ip"}
    assert head_of(RequestLine(b"GET", b"/", b"HTTP/1.1"), twice, "192.0.2.1").repeated == twice.repeated
