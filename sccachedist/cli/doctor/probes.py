"""Facts about this host and its peers, asked one after the other: it blocks, and judges nothing."""

import contextlib
import os
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sccachedist.wire.addresses import ServerId

_SECS = 10


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
