"""Facts about this host and its peers, collected one after the other. It blocks, and it judges nothing."""

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
    """The output of a program, None if it cannot be run or fails."""
    try:
        ended = subprocess.run(command, capture_output=True, timeout=_SECS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.decode(errors="replace")


def free_space(directory: Path) -> int:
    """The free bytes on the disk of a directory, which may not exist yet. Writes a small file, to see if that works.

    :raises OSError: nothing can be written.
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
    """The DER form of the certificate that is shown at an address, None if there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is only looked at, not trusted
    with (
        contextlib.suppress(OSError),
        socket.create_connection((str(address.host), address.port), timeout=_SECS) as plain,
        context.wrap_socket(plain) as secured,
    ):
        return secured.getpeercert(binary_form=True)
    return None


def own_certificate(cache_dir: Path) -> bytes | None:
    """The DER form of the certificate that a build server keeps, None if there is no readable one."""
    try:
        pem = (cache_dir / "identity" / "tls.pem").read_bytes()
        return x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERTIFICATE") :]).public_bytes(Encoding.DER)
    except (OSError, ValueError):
        return None
