"""A proxy for HTTP on loopback, as those are that a site makes its hosts use; it tells what it was asked."""

import contextlib
import socket
from collections.abc import Iterator
from threading import Thread
from urllib.parse import urlsplit

import attrs

from farmkit.processes import LOOPBACK
from tests.support.liar import liar

_SECS = 30


@attrs.define
class ForwardProxy:
    """One that runs; ``asked`` has the heads of the requests, without their ends of lines.

    :param where: the place that each target is really at.
    :param refusal: what is answered to every request, if it is set.
    """

    where: tuple[str, int]
    refusal: bytes | None = None
    port: int = 0
    asked: list[list[str]] = attrs.field(factory=list)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def lines(self) -> list[str]:
        """The first lines of what it was asked."""
        return [head[0] for head in self.asked]

    def headers(self, name: str) -> list[str]:
        """The values of a header in all that it was asked."""
        prefix = f"{name.lower()}: "
        return [line[len(prefix) :] for head in self.asked for line in head if line.lower().startswith(prefix)]

    @contextlib.contextmanager
    def running(self) -> Iterator["ForwardProxy"]:
        """Let it run for a while."""
        with liar(self._serve) as self.port:
            yield self

    def _serve(self, client: socket.socket) -> None:
        """Serve the first request of a connection; the rest is passed on, as in a tunnel."""
        client.settimeout(_SECS)
        received = bytearray()
        while b"\r\n\r\n" not in received:
            octets = client.recv(1 << 16)
            if not octets:
                return
            received += octets
        head, _, rest = bytes(received).partition(b"\r\n\r\n")
        first, *headers = head.decode().split("\r\n")
        self.asked.append([first, *headers])
        if self.refusal is not None:
            client.sendall(self.refusal)
            return
        method, url, version = first.split(" ")
        with socket.create_connection(self.where, timeout=_SECS) as peer:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                peer.sendall(rest)
            else:
                split = urlsplit(url)
                target = split._replace(scheme="", netloc="").geturl()
                kept = [line for line in headers if not line.lower().startswith(("proxy-", "connection:"))]
                request = "\r\n".join((f"{method} {target} {version}", *kept, "Connection: close", "", ""))
                peer.sendall(request.encode() + rest)
            _pass_on(client, peer)


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    """Pass on what either says, until either has gone."""
    there = Thread(target=_copy, args=(one, other), daemon=True)
    there.start()
    _copy(other, one)
    there.join(_SECS)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while octets := source.recv(1 << 16):
            sink.sendall(octets)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
