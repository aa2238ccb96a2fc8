"""Whether a port speaks TLS where its URL says ``http``, or plain HTTP where it says ``https``.

Peers answer the wrong one of the two with silence, with nothing, or with what no reader of an error understands. So the
port is asked in the other one's way. It is asked after a call has failed, or has got no answer for a moment; no secret
is sent. The daemons ask in a thread, the commands directly: this module blocks, and is plain.
"""

import contextlib
import socket
import ssl
from urllib.parse import urlsplit

#: Seconds without an answer of a new peer after which it is asked, and seconds for each step of asking: together less
#: than the second within which an operator is told.
PATIENCE_SECS, _STEP_SECS = 0.4, 0.4
#: The first bytes of a TLS record: a handshake or an alert, of any version.
_TLS_RECORDS = (b"\x16\x03", b"\x15\x03")
_STATUS_LINE = len(b"HTTP/1.1 200")

_TLS_SPOKEN = "TLS is spoken there: the URL has to begin with https://"
_HTTP_SPOKEN = "plain HTTP is spoken there, without TLS: the URL has to begin with http://"


def wrong_scheme(url: str) -> str | None:
    """What is wrong with a URL's scheme, in one sentence; None if nothing is, or that cannot be found out."""
    parsed = urlsplit(url)
    host, is_secure = parsed.hostname or "", parsed.scheme == "https"
    port = parsed.port or (443 if is_secure else 80)
    try:
        said = _answer(host, port, _request(host) if is_secure else _hello(host))
    except (OSError, UnicodeError):  # the latter for a host that is no name
        return None
    if is_secure:
        # A TLS port may answer a plain request with status 400, and then says so in words.
        is_http = said.startswith(b"HTTP/") and len(said) == _STATUS_LINE and not said.endswith(b" 400")
        return _HTTP_SPOKEN if is_http else None
    return _TLS_SPOKEN if said.startswith(_TLS_RECORDS) else None


def _answer(host: str, port: int, octets: bytes) -> bytes:
    """The first bytes that a port answers.

    :raises OSError: it cannot be reached, or does not answer.
    """
    with socket.create_connection((host, port), timeout=_STEP_SECS) as connection:
        connection.sendall(octets)
        said = b""
        while len(said) < _STATUS_LINE and (more := connection.recv(_STATUS_LINE - len(said))):
            said += more
        return said


def _request(host: str) -> bytes:
    name = f"[{host}]" if ":" in host else host.encode("idna").decode()
    return f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()


def _hello(host: str) -> bytes:
    """The first bytes of a TLS client."""
    sent = ssl.MemoryBIO()
    begun = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=host)
    with contextlib.suppress(ssl.SSLWantReadError):
        begun.do_handshake()
    return sent.read()
