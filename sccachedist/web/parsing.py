"""Parses the head of an HTTP/1.1 request, as strictly as RFC 9112.

A head that can be understood in two ways is refused, because a proxy in front may understand it in the other way. Pure:
where the bytes come from, and whether the request is admitted, is not known here.
"""

import re
import sys

import attrs

from sccachedist.errors import DecodeError, LimitExceeded
from sccachedist.web.request_head import Head

#: Between the head and the body.
END = b"\r\n\r\n"

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.([01])")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_ORIGIN = re.compile(rb"(?i:https?)://[^/?]*")
#: No body has more bytes than 19 digits can say; Python's own parser takes 4,300 digits and a long time.
_LENGTH_DIGITS = 19
#: Headers that may come only once: with a second one, a request can be smuggled past a proxy, or past us.
_SINGLE = (b"host", b"content-length", b"transfer-encoding")


@attrs.frozen
class RequestLine:
    """The first line of a request.

    :param path: without the query.
    """

    method: bytes
    path: bytes
    version: bytes
    query: bytes = b""


@attrs.frozen
class Fields:
    """The headers of a request.

    :param values: the first value of each, by its name in lower case.
    :param repeated: the names of those that came more than once.
    :param length: the size of the body in bytes; None if it comes in chunks.
    :param persistent: whether the connection is kept for another request.
    :param expects: whether the sender waits for ``100 Continue`` before it sends the body.
    """

    values: dict[str, str] = attrs.field(repr=False)
    repeated: tuple[str, ...]
    length: int | None
    persistent: bool
    expects: bool


def parse_request_line(line: bytes) -> RequestLine:
    """Parse the first line of a request. The target is a path, or a URL with one.

    :raises DecodeError: it is no request line.
    """
    if (found := _REQUEST_LINE.fullmatch(line)) is None:
        raise DecodeError("not HTTP")
    method, target, minor = found.groups()
    if origin := _ORIGIN.match(target):
        target = target[origin.end() :] or b"/"
    path, _, query = target.partition(b"?")
    return RequestLine(method, path, b"HTTP/1." + minor, query)


def parse_head(head: bytes, most_headers: int) -> tuple[RequestLine, Fields]:
    """Parse the bytes before :data:`END`.

    :raises DecodeError: they are no head, or one that can be understood in two ways.
    :raises LimitExceeded: there are too many headers, or the announced length has too many digits.
    """
    first, *lines = head.split(b"\r\n")
    line = parse_request_line(first)
    if len(lines) > most_headers:
        raise LimitExceeded("headers", "a head with many headers")
    fields: dict[bytes, list[bytes]] = {}
    for each in lines:
        name, colon, value = each.partition(b":")
        # A line that continues the one before begins with a space, which is no name.
        if not colon or not _TOKEN.fullmatch(name) or _CONTROL.search(value):
            raise DecodeError("not HTTP")
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    if any(len(fields.get(name, ())) > 1 for name in _SINGLE):
        raise DecodeError("not HTTP")
    tokens = {token.strip(b" \t").lower() for value in fields.get(b"connection", ()) for token in value.split(b",")}
    return line, Fields(
        values={name.decode(): values[0].decode("latin-1") for name, values in fields.items()},
        repeated=_repeated(fields) if len(fields) < len(lines) else (),
        length=_body_length(fields, line.version),
        persistent=line.version == b"HTTP/1.1" and b"close" not in tokens,
        expects=line.version == b"HTTP/1.1" and fields.get(b"expect", [b""])[0].lower() == b"100-continue",
    )


def take_head(
    unread: bytearray, searched: int, most_bytes: int, most_headers: int
) -> tuple[int, tuple[RequestLine, Fields] | None]:
    """Take the head of a request from the front of what has come, if all of it is there.

    :param searched: no head ends before this byte, as the last search said; 0 at first.
    :return: where to search on when more has come, and what was found.
    :raises DecodeError: it is none. A peer that does not speak HTTP is told so before a head would end.
    :raises LimitExceeded: it is too large.
    """
    if not searched and unread.startswith(b"\r\n"):  # some clients send an empty line behind a body
        del unread[:2]
    end = unread.find(END, searched)
    if end > most_bytes or (end < 0 and len(unread) > most_bytes + len(END)):
        raise LimitExceeded("header_bytes", "a large head")
    if end >= 0:
        found = parse_head(bytes(unread[:end]), most_headers)
        del unread[: end + len(END)]
        return 0, found
    if not searched and (eol := unread.find(b"\r\n")) > 0:
        parse_request_line(bytes(unread[:eol]))
        searched = eol
    return (max(searched, len(unread) - len(END)) if searched else 0), None


def head_of(line: RequestLine, fields: Fields, peer: str) -> Head:
    """The values by which a route decides whether the body is read."""
    return Head(
        method=sys.intern(line.method.decode()),
        path=line.path.decode(),
        headers=fields.values,
        repeated=fields.repeated,
        peer=peer,
        length=fields.length,
        query=line.query.decode(),
    )


def _body_length(fields: dict[bytes, list[bytes]], version: bytes) -> int | None:
    """The size of the body in bytes; None if it comes in chunks."""
    coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    if coding is not None:
        # Both together, another coding, or one that HTTP/1.0 does not know: a proxy may see another body.
        if length is not None or version != b"HTTP/1.1" or coding[0].lower() != b"chunked":
            raise DecodeError("not HTTP")
        return None
    if length is None:
        return 0
    if not length[0].isdigit():
        raise DecodeError("not HTTP")
    if len(length[0]) > _LENGTH_DIGITS:
        raise LimitExceeded("header_bytes", f"a Content-Length of {len(length[0])} digits")
    return int(length[0])


def _repeated(fields: dict[bytes, list[bytes]]) -> tuple[str, ...]:
    return tuple(name.decode() for name, values in fields.items() if len(values) > 1)
