"""Requests to a web server, for a command: plain and synchronous, without the daemons' reactor.

Like the daemons among themselves, it follows no redirect and uses no proxy: a secret goes only to the server that was
named. It does not know what is asked.
"""

import contextlib
import email.utils
import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection, RemoteDisconnected
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import attrs

from sccachedist.auth.bearer import IPAddress
from sccachedist.errors import ConfigError, PeerError
from sccachedist.peers.source_address import binding
from sccachedist.peers.wrong_scheme import PATIENCE_SECS, wrong_scheme

C = TypeVar("C", bound=HTTPConnection)

#: The most bytes that are read of an answer, unless a question says otherwise.
_ANSWER_BYTES = 1 << 20


@attrs.frozen
class Trust:
    """Which certificates prove an ``https`` server's identity: by default, those that this host's authorities signed.

    :param pin: the SHA-256 of the DER form of a certificate that is accepted as it is, under any name.
    :param authorities: a PEM file with the authorities to trust instead of this host's.
    """

    pin: bytes | None = None
    authorities: Path | None = None


def pinned(certificate: Path) -> bytes:
    """The pin of the first certificate in a file.

    :raises ConfigError: there is none.
    """
    # Imported here: they take a moment to load, and most schedulers are named with authorities of this host, or none.
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_pem_x509_certificates

    try:
        first = load_pem_x509_certificates(certificate.read_bytes())[0]
    except OSError as error:
        raise ConfigError(f"{certificate}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{certificate}: expected a certificate, PEM") from error
    return hashlib.sha256(first.public_bytes(Encoding.DER)).digest()


@attrs.frozen
class Reply:
    """What a web server answered; ``date`` is None if the server does not say what time it is."""

    status: int
    body: bytes
    date: datetime | None


@attrs.frozen
class Question:
    """One request: a POST if there is a body, otherwise a GET.

    :param source: the address of this host that it leaves from; None if the kernel is to choose it.
    :param longest: the most bytes that are read of the answer.
    :param kind: the media type of the body.
    """

    url: str
    token: str | None = attrs.field(default=None, repr=False)
    body: bytes | None = None
    accept: str = "*/*"
    source: IPAddress | None = None
    longest: int = _ANSWER_BYTES
    kind: str = "application/octet-stream"

    def ask(self, seconds: float, trust: Trust | None = None) -> Reply:
        """Send the request; to connect, and then to answer, may each take ``seconds``.

        :raises PeerError: there is no answer, or the server's certificate is not trusted; the text says which.
        :raises ConfigError: the file of authorities cannot be used.
        """
        url = urlsplit(self.url)
        connection = _connection(url, seconds, trust or Trust(), self.source)
        headers = {"Accept": self.accept, "Connection": "close"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.body is not None:
            headers["Content-Type"] = self.kind
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        with _cut_after(seconds, connection.sock) as late:
            try:
                connection.request("GET" if self.body is None else "POST", target, self.body, headers)
                answer = connection.getresponse()
                reply = Reply(answer.status, answer.read(self.longest), _date(answer.getheader("Date")))
            except (OSError, HTTPException, ValueError) as error:  # the last for a chunk of a length below nothing
                raise PeerError(
                    f"no answer within {seconds:g} s" if late.is_set() else _why(error, self.url)
                ) from error
            finally:
                connection.close()
        if late.is_set():
            raise PeerError(f"no whole answer within {seconds:g} s")
        if reply.status == 400 and url.scheme == "http" and (wrong := wrong_scheme(self.url)):
            raise PeerError(wrong)
        return reply


@contextlib.contextmanager
def _cut_after(seconds: float, connection: socket.socket) -> Iterator[threading.Event]:
    """End a connection after a while, even while bytes still come: a peer may send one at a time.

    The event is set when that is done.
    """
    late = threading.Event()

    def cut() -> None:
        late.set()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # TLS's own would change what is being read from

    timer = threading.Timer(seconds, cut)
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _connection(url: SplitResult, seconds: float, trust: Trust, source: IPAddress | None) -> HTTPConnection:
    """A connection to the URL's server; for ``https``, TLS is already set up and the certificate trusted."""
    bind = binding(source, url.hostname or "")
    if url.scheme == "http":
        return _opened(HTTPConnection(url.hostname or "", url.port, timeout=seconds, source_address=bind), url)
    if trust.pin is not None and trust.authorities is None:
        connection = _opened(_Secured(url, seconds, _believing_anybody(), bind), url)
        if hashlib.sha256(connection.sock.getpeercert(binary_form=True) or b"").digest() == trust.pin:
            return connection
        connection.close()
    try:
        context = _recent(ssl.create_default_context(cafile=trust.authorities))
    except OSError as error:  # includes ssl.SSLError
        raise ConfigError(f"{trust.authorities}: expected the certificates of authorities, PEM") from error
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the daemons and the published programs are not so strict either
    return _opened(_Secured(url, seconds, context, bind), url)


class _Secured(HTTPSConnection):
    """A connection with TLS, which notices soon if the peer does not speak that."""

    def __init__(
        self, url: SplitResult, seconds: float, context: ssl.SSLContext, source: tuple[str, int] | None
    ) -> None:
        super().__init__(url.hostname or "", url.port, timeout=seconds, context=context, source_address=source)
        self._url, self._seconds, self._tls = url.geturl(), seconds, context

    def connect(self) -> None:
        """Connect and begin TLS."""
        HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock.settimeout(min(PATIENCE_SECS, self._seconds))
        try:
            self.sock.do_handshake()
        except TimeoutError as error:
            if wrong := wrong_scheme(self._url):
                raise ConnectionError(wrong) from error
            self.sock.settimeout(self._seconds)
            self.sock.do_handshake()
        self.sock.settimeout(self._seconds)


def _opened(connection: C, url: SplitResult) -> C:
    try:
        connection.connect()
    except (OSError, UnicodeError) as error:  # the latter for a host that is no name
        connection.close()
        raise PeerError(_why(error, url.geturl())) from error
    return connection


def _believing_anybody() -> ssl.SSLContext:
    """Accepts every certificate: for a connection that sends nothing before its certificate has been compared."""
    context = _recent(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _recent(context: ssl.SSLContext) -> ssl.SSLContext:
    """TLS 1.2 and up, as the daemons have it: a host's policy for all programs may permit older versions."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _why(error: Exception, url: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted here ({error.verify_message})"
    if isinstance(error, ssl.SSLError | ConnectionResetError | HTTPException) and (wrong := wrong_scheme(url)):
        return wrong
    if isinstance(error, UnicodeError):
        return "its host is no name"
    if isinstance(error, HTTPException | ValueError) and not isinstance(error, RemoteDisconnected):
        return f"what answers there does not speak HTTP as it should ({type(error).__name__})"
    return str(error) or type(error).__name__


def _date(text: str | None) -> datetime | None:
    """A time with its zone, None if a peer's words are none."""
    try:
        date = None if text is None else email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError, TypeError):
        return None
    return None if date is None else date.replace(tzinfo=date.tzinfo or UTC)
