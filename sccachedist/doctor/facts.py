"""Facts about this host and its peers, asked one after the other: it blocks, and judges nothing."""

import contextlib
import email.utils
import os
import socket
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sccachedist.wire.addresses import ServerId

_SECS = 10


@attrs.frozen
class Reply:
    """What a web server answered; ``date`` is None where it does not say what time it is."""

    status: int
    body: bytes
    date: datetime | None


def fetch(url: str, *, token: str | None = None, body: bytes | None = None, accept: str = "*/*") -> Reply:
    """Ask a web server.

    :raises OSError: there is no answer.
    """
    headers = {"Accept": accept} | ({"Authorization": f"Bearer {token}"} if token else {})
    if body is not None:
        headers["Content-Type"] = "application/octet-stream"
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - the configuration takes http and https alone
    try:
        with urllib.request.urlopen(request, timeout=_SECS) as answer:  # noqa: S310
            return Reply(answer.status, answer.read(1 << 20), _date(answer.headers.get("Date")))
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read(1 << 20), _date(error.headers.get("Date")))


def said_by(*command: str) -> str | None:
    """What a program prints, None where it cannot be run or fails."""
    try:
        ended = subprocess.run(command, capture_output=True, timeout=_SECS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.decode(errors="replace")


def free_space(directory: Path) -> int:
    """The bytes that can be written below a directory, which may not exist yet; tries to.

    :raises OSError: none can be.
    """
    while not directory.exists():
        directory = directory.parent
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
    state = os.statvfs(directory)
    return state.f_bavail * state.f_frsize


def shown_certificate(address: ServerId) -> bytes | None:
    """The certificate at an address, in DER; None where nobody shows one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is looked at, not believed
    with (
        contextlib.suppress(OSError),
        socket.create_connection((str(address.host), address.port), timeout=_SECS) as plain,
        context.wrap_socket(plain) as secured,
    ):
        return secured.getpeercert(binary_form=True)
    return None


def own_certificate(cache_dir: Path) -> bytes | None:
    """The certificate that a build server keeps, in DER; None where there is none that can be read."""
    try:
        pem = (cache_dir / "identity" / "tls.pem").read_bytes()
        return x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERTIFICATE") :]).public_bytes(Encoding.DER)
    except (OSError, ValueError):
        return None


def _date(text: str | None) -> datetime | None:
    try:
        return None if text is None else email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
