"""A build server's identity: its TLS key and certificate, and the key that signs job tokens.

It is made once, kept under ``cache_dir/identity/`` and loaded at every start, so that tokens and pins from before a
restart stay valid. Two files: ``tls.pem`` holds key and certificate together, so that a crash never leaves one without
the other; ``job.key`` holds the job key, which never changes.

The certificate's form is the one that clients and schedulers accept ("What decides the fate of a user's build" in
``doc/protocol``, point 6). This module knows neither Twisted nor what the identity is used for.
"""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sccachedist.directories import open_private, read_private
from sccachedist.errors import SccachedistError, UntrustedPath
from sccachedist.wire.addresses import ServerId

T = TypeVar("T")

#: Bytes of a job key, the same as in the published build server.
JOB_KEY_BYTES = 32
#: How far back a certificate begins, so that a peer whose clock is slow accepts a fresh one.
BACKDATED = timedelta(days=1)
#: How long a certificate is valid. TLS clients refuse more than 398 days.
LIFE = timedelta(days=397)

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound, UntrustedPath)
_MOST_BYTES = 1 << 16


class _Outdated(SccachedistError):
    """A certificate is well formed, but has to be replaced."""


@attrs.frozen
class Identity:
    """What a build server shows to peers, and its secrets.

    :param certificate_digest: the SHA-256 of the certificate's DER form, the heartbeat's ``cert_digest``.
    :param renew_at: from then on :func:`load_identity` makes a new certificate: after two thirds of this one's life.
    """

    private_key_pem: bytes = attrs.field(repr=False)
    certificate_pem: bytes
    certificate_digest: bytes
    renew_at: datetime
    job_key: bytes = attrs.field(repr=False)


@attrs.frozen
class _Pair:
    """A private key and its certificate, as ``tls.pem`` holds them."""

    private_key_pem: bytes = attrs.field(repr=False)
    certificate_pem: bytes
    certificate: x509.Certificate

    @classmethod
    def parse(cls, pem: bytes) -> "_Pair":
        """Read both from one file.

        :raises Exception: one of ``_UNREADABLE``: they cannot be read.
        """
        key_pem, marker, rest = pem.partition(_CERTIFICATE)
        key = load_pem_private_key(key_pem, password=None)
        certificate = x509.load_pem_x509_certificate(marker + rest)
        if key.public_key() != certificate.public_key():
            raise ValueError("the key is not the certificate's")
        return cls(key_pem, marker + rest, certificate)

    @property
    def renew_at(self) -> datetime:
        """When two thirds of the certificate's life are over."""
        begin, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        return begin + (end - begin) * 2 / 3

    def check(self, public_addr: ServerId, now: datetime) -> None:
        """Check that this certificate may be shown at ``public_addr`` now.

        :raises _Outdated: it has to be replaced; the text says why.
        """
        names = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if names.get_values_for_type(x509.IPAddress) != [public_addr.host]:
            raise _Outdated(f"it is not for {public_addr.host}")
        subject = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if [name.value for name in subject] != [str(public_addr)]:  # another port: the scheduler would refuse it
            raise _Outdated(f"it is not for {public_addr}")
        if now < self.certificate.not_valid_before_utc:
            raise _Outdated("its life has not begun: was the clock wrong?")
        if now >= self.renew_at:
            raise _Outdated("two thirds of its life are over")


def load_identity(directory: Path, public_addr: ServerId, now: datetime, remark: Callable[[str], None]) -> Identity:
    """Load the identity from ``directory``; make what is missing, broken or outdated.

    A broken file is no error, it is renamed to ``.broken``: a build server with a new identity is better than none. The
    same holds for a file that another user of this host could have written.

    :param public_addr: the address at which clients reach the server; the certificate names its IP.
    :param now: an aware time.
    :param remark: called with a sentence for the log about each file that was made.
    :raises OSError: the directory cannot be read or written, or another user could change it; its text names the path.
    """

    def read_pair(pem: bytes) -> _Pair:
        pair = _Pair.parse(pem)
        pair.check(public_addr, now)
        return pair

    place = open_private(directory)
    try:
        kept = _Kept(directory, place, remark)
        pair = kept.load("tls.pem", read_pair, lambda: _make_pair(public_addr, now))
        job_key = kept.load("job.key", _read_job_key, lambda: secrets.token_bytes(JOB_KEY_BYTES))
    finally:
        os.close(place)
    return Identity(
        private_key_pem=pair.private_key_pem,
        certificate_pem=pair.certificate_pem,
        certificate_digest=pair.certificate.fingerprint(SHA256()),
        renew_at=pair.renew_at,
        job_key=job_key,
    )


@attrs.frozen
class _Kept:
    """The files of an identity.

    :param place: the descriptor of ``directory``.
    """

    directory: Path
    place: int
    remark: Callable[[str], None]

    def load(self, name: str, read: Callable[[bytes], T], make: Callable[[], bytes]) -> T:
        """Return the content of a file, or make a new one if the file cannot be used."""
        path = self.directory / name
        try:
            return read(read_private(self.place, name, _MOST_BYTES))
        except FileNotFoundError:
            self.remark(f"{path} is made: there is none yet")
        except _Outdated as reason:
            self.remark(f"{path} is made again: {reason}")
        except _UNREADABLE as reason:
            broken = path.with_suffix(".broken").name
            os.rename(name, broken, src_dir_fd=self.place, dst_dir_fd=self.place)
            self.remark(f"{path} is made again: it could not be used ({reason}) and is kept as {broken}")
        content = make()
        self._publish(name, content)
        return read(content)

    def _publish(self, name: str, content: bytes) -> None:
        """Write a file that only its owner can read; after a crash at any moment it is whole or missing."""
        temporary = Path(name).with_suffix(".new").name
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=self.place)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o600, dir_fd=self.place), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, name, src_dir_fd=self.place, dst_dir_fd=self.place)
        os.fsync(self.place)


def _read_job_key(content: bytes) -> bytes:
    if len(content) != JOB_KEY_BYTES:
        raise ValueError(f"{len(content)} bytes where a job key has {JOB_KEY_BYTES}")
    return content


def _make_pair(public_addr: ServerId, now: datetime) -> bytes:
    """Return a new P-256 key and a self-signed certificate, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    begin = now.astimezone(UTC).replace(microsecond=0) - BACKDATED
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key_pem + _certificate(key, public_addr, begin).public_bytes(Encoding.PEM)


def _certificate(key: ec.EllipticCurvePrivateKey, public_addr: ServerId, begin: datetime) -> x509.Certificate:
    """Return a certificate that clients accept as a root, but only for this one server.

    Clients keep every certificate that they have seen as a root and look one up by its subject. Two with the same
    subject would shadow each other, so the serial number is part of it. There is no basicConstraints: rustls refuses a
    CA's certificate as a server's. There is no keyUsage: without keyCertSign OpenSSL takes the certificate for not
    self-signed, with it for a CA's.
    """
    serial = x509.random_serial_number()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, str(public_addr)),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, f"{serial:x}"),
        ]
    )
    return (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(serial)
        .not_valid_before(begin)
        .not_valid_after(begin + LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(public_addr.host)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, SHA256())
    )
