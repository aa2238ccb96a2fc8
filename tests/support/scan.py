"""What a TLS port agrees to: every version and every cipher that this machine's OpenSSL can offer, one at a time."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress

import attrs

HOST = "127.0.0.1"
VERSIONS = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@attrs.frozen
class Agreed:
    """A version and a cipher."""

    version: str
    cipher: str


def scan(port: int) -> set[Agreed]:
    """All that a port agrees to."""
    return set(_agreements(port))


def _agreements(port: int) -> Iterator[Agreed]:
    for version in VERSIONS[:3]:
        for cipher in _everything().get_ciphers():
            yield from _offer(port, version, cipher["name"])
    yield from _offer(port, VERSIONS[3], None)


def _everything() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return context


def _offer(port: int, version: ssl.TLSVersion, cipher: str | None) -> Iterator[Agreed]:
    context = _everything()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(ssl.SSLError, OSError):
        if cipher is not None:
            context.set_ciphers(f"{cipher}:@SECLEVEL=0")  # those of TLS 1.3 are no choice of an older version
        context.maximum_version = ssl.TLSVersion.TLSv1_3
        context.minimum_version = context.maximum_version = version
        with (
            socket.create_connection((HOST, port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as secured,
        ):
            agreed = secured.cipher()
            if agreed is not None:
                yield Agreed(secured.version() or "", agreed[0])
