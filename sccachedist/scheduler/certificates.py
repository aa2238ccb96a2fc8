"""Checks a build server's certificate before clients are told to trust it.

A client trusts it as a root, for ever and for every host that it talks to. So it has to be one certificate, for its
build server's own address alone, that signs no other. Published build servers and ours make such certificates.

Pure. How a certificate comes and which clients get it, is not known here.
"""

import base64
import hashlib
import re
import warnings
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

from sccachedist.errors import DecodeError
from sccachedist.wire.addresses import ServerId

#: The most bytes of a certificate in PEM, and the bits that its key may have. The published one has 1 KB and 2048 bits.
MOST_BYTES = 16 << 10
RSA_BITS, CURVE_BITS = range(2048, 8193), range(256, 522)

_PEM = re.compile(rb"\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*")
#: How a certificate goes on after its sizes, with the serial number 0 or 1. Published build servers make certificates
#: with 0, which a future release of cryptography will not read.
_SERIAL_0, _SERIAL_1 = (b"\xa0\3\2\1\2\2\1" + bytes([serial]) for serial in (0, 1))


@lru_cache(maxsize=1 << 13)  # thousands of build servers send theirs every few seconds; a refusal is not kept
def certificate_digest(pem: bytes, server_id: ServerId) -> bytes:
    """The SHA-256 of the DER form of a build server's certificate.

    :raises DecodeError: clients must not trust it for this build server.
    """
    der = _der(pem)
    certificate = _read(der)
    _check_key(certificate)
    try:
        _check_use(certificate)
        _check_names(certificate, server_id)
    except (ValueError, KeyError) as error:  # older releases of cryptography raise KeyError for a name of unknown type
        raise DecodeError("cert_pem has an extension or a name that cannot be read") from error
    return hashlib.sha256(der).digest()


def certificate_end(pem: bytes) -> float | None:
    """When a certificate ends, in seconds since 1970; None if it is none, or does not say."""
    try:
        return _read(_der(pem)).not_valid_after_utc.timestamp()
    except (DecodeError, ValueError):
        return None


def _der(pem: bytes) -> bytes:
    form = _PEM.fullmatch(pem) if len(pem) <= MOST_BYTES else None
    if form is None:
        raise DecodeError(f"cert_pem is not one certificate in PEM of at most {MOST_BYTES} bytes")
    try:
        return base64.b64decode(b"".join(form[1].split()), validate=True)
    except ValueError as error:
        raise DecodeError("cert_pem is not a certificate") from error


def _read(der: bytes) -> x509.Certificate:
    try:
        with warnings.catch_warnings():  # no warnings about what a peer sends
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(der.replace(_SERIAL_0, _SERIAL_1, 1))
        if certificate.version is x509.Version.v3:
            return certificate
    except (ValueError, x509.InvalidVersion) as error:
        raise DecodeError("cert_pem is not a certificate") from error
    raise DecodeError("cert_pem is a certificate of a version that has no extensions")


def _check_key(certificate: x509.Certificate) -> None:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DecodeError("cert_pem has a key that cannot be read") from error
    match key:
        case RSAPublicKey() if key.key_size in RSA_BITS:
            return
        case EllipticCurvePublicKey() if key.key_size in CURVE_BITS:
            return
    raise DecodeError("cert_pem has a key that is neither RSA of 2048 to 8192 bits nor of an elliptic curve")


def _check_use(certificate: x509.Certificate) -> None:
    """Refuse an authority's certificate: its owner could vouch for every host that clients talk to."""
    for extension in certificate.extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True) | x509.KeyUsage(key_cert_sign=True):
                raise DecodeError("cert_pem is the certificate of an authority")


def _check_names(certificate: x509.Certificate, server_id: ServerId) -> None:
    """Refuse the names of others: its owner could answer for them, or clients could find it instead of theirs."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise DecodeError("cert_pem names no address (subjectAltName)") from error
    if [*names] != [x509.IPAddress(server_id.host)]:
        raise DecodeError(f"cert_pem is not for {server_id.host} alone (subjectAltName)")
    for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        if _is_of_another(str(name.value), server_id):
            raise DecodeError("cert_pem has the name of another build server (subject)")


def _is_of_another(name: str, server_id: ServerId) -> bool:
    try:
        return ServerId.parse(name) != server_id
    except DecodeError:
        return False
