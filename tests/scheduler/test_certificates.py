"""Certificates of build servers: those that clients may be told to trust, and all others."""

import contextlib
import hashlib
import ssl
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sccachedist.errors import DecodeError
from sccachedist.scheduler import build_server
from sccachedist.scheduler.build_server import BuildServer
from sccachedist.scheduler.certificates import MOST_BYTES, certificate_digest, certificate_end
from sccachedist.server.identity import load_identity
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import decode
from sccachedist.wire.messages import HEARTBEAT, Heartbeat
from tests.support.exchanges import exchange

SERVER = ServerId.parse("127.0.0.1:11502")
RECORDED = decode(HEARTBEAT, exchange(16).body)
_KEY = ec.generate_private_key(ec.SECP256R1())
_OWN = x509.IPAddress(SERVER.host)


def made(
    *extensions: x509.ExtensionType,
    names: tuple[x509.GeneralName, ...] = (_OWN,),
    common_name: str = str(SERVER),
    key: Any = _KEY,
    shown: Any = None,
) -> bytes:
    """A certificate that is right but for what is said."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(name, name, shown or key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256()).public_bytes(
        Encoding.PEM
    )


def der(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode())


def pem(octets: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(octets).encode()


def usage(**used: bool) -> x509.KeyUsage:
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    names += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{name: used.get(name, False) for name in names})


def test_published() -> None:
    """The certificate of a published build server is good, and so is the serial number 0 that all of theirs have."""
    assert certificate_digest(RECORDED.cert_pem, SERVER) == RECORDED.cert_digest
    marker = b"\xa0\3\2\1\2\2\1"
    octets = der(RECORDED.cert_pem)
    assert octets.count(marker) == 1
    published = octets.replace(marker + b"\7", marker + b"\0")
    assert published != octets
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert certificate_digest(pem(published), SERVER) == hashlib.sha256(published).digest()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:65535", "[2001:db8::1]:10501", "[::ffff:192.0.2.1]:10501"])
def test_ours(tmp_path: Path, address: str) -> None:
    """The certificate of one of ours is good, at every kind of address."""
    server_id = ServerId.parse(address)
    identity = load_identity(tmp_path / "identity", server_id, datetime.now(UTC), lambda _: None)
    assert certificate_digest(identity.certificate_pem, server_id) == identity.certificate_digest


@pytest.mark.parametrize(
    "made_so",
    [
        lambda: made(x509.BasicConstraints(ca=False, path_length=None)),
        lambda: made(usage(digital_signature=True)),
        lambda: made(common_name="a build server"),
        lambda: made(key=rsa.generate_private_key(65537, 2048)),
        lambda: made(key=ec.generate_private_key(ec.SECP521R1())),
        lambda: b"\n" + made().replace(b"\n", b"\r\n") + b"\n\n",
    ],
)
def test_good(made_so: Callable[[], bytes]) -> None:
    """Others that are for their own address alone are good too."""
    certificate = made_so()
    assert certificate_digest(certificate, SERVER) == hashlib.sha256(der(certificate.strip())).digest()


#: How a key says that it is one of P-256.
_CURVE = bytes.fromhex("06082a8648ce3d030107")


def first_version(octets: bytes) -> bytes:
    """A certificate without its version is one of the first: nothing in it says that it does not sign others."""
    inner = octets[4:] if octets[1] == 0x82 else octets[3:]
    signed = inner[3 : 3 + inner[2]]
    assert inner[1] == 0x81
    assert signed.startswith(b"\xa0\3\2\1\2")
    rest = inner[3 + len(signed) :]
    shorter = b"0\x81" + bytes([len(signed) - 5]) + signed[5:] + rest
    return b"0\x82" + len(shorter).to_bytes(2, "big") + shorter


BAD = {
    "nothing": (lambda: b"", "not one certificate"),
    "not PEM": (lambda: der(made()), "not one certificate"),
    "two": (lambda: made() + made(), "not one certificate"),
    "a key with it": (lambda: b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n" + made(), "not one"),
    "words before it": (lambda: b"trust me\n" + made(), "not one certificate"),
    "large": (lambda: made(names=(_OWN,) * (MOST_BYTES // 6)), "not one certificate"),
    "no Base64": (lambda: b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n", "not a certificate"),
    "no DER": (lambda: pem(b"hello"), "not a certificate"),
    "cut": (lambda: pem(der(made())[:-5]), "not a certificate"),
    "with more behind it": (lambda: pem(der(made()) + b"\0"), "not a certificate"),
    "an authority's": (lambda: made(x509.BasicConstraints(ca=True, path_length=None)), "authority"),
    "one that signs": (lambda: made(usage(key_cert_sign=True)), "authority"),
    "without an address": (lambda: made(names=()), "no address"),
    "for another address": (lambda: made(names=(x509.IPAddress(ip_address("127.0.0.2")),)), "alone"),
    "for another one too": (lambda: made(names=(_OWN, x509.IPAddress(ip_address("127.0.0.2")))), "alone"),
    "for a name too": (lambda: made(names=(_OWN, x509.DNSName("scheduler.example"))), "alone"),
    "for all names": (lambda: made(names=(x509.DNSName("*"),)), "alone"),
    "in the name of another": (lambda: made(common_name="127.0.0.1:11503"), "name of another"),
    "weak key": (lambda: made(key=rsa.generate_private_key(65537, 1024)), "neither RSA"),
    "large key": (lambda: made(shown=rsa.RSAPublicNumbers(65537, (1 << 8200) + 1).public_key()), "neither RSA"),
    "strange key": (lambda: made(key=ed25519.Ed25519PrivateKey.generate()), "neither RSA"),
    "unreadable key": (lambda: pem(der(made()).replace(_CURVE, b"\x06\x08" + bytes(8))), "key"),
    "unreadable address": (lambda: pem(der(made()).replace(b"\x87\4\x7f", b"\x87\3\x7f")), "cannot be read"),
    "of the first version": (lambda: pem(first_version(der(made(names=())))), "version"),
}


@pytest.mark.parametrize(("made_so", "reason"), BAD.values(), ids=BAD.keys())
def test_bad(made_so: Callable[[], bytes], reason: str) -> None:
    """Whatever a client had better not trust is refused, and it is said why."""
    certificate = made_so()
    for _ in range(2):
        with pytest.raises(DecodeError, match=reason):
            certificate_digest(certificate, SERVER)


def test_when_it_ends() -> None:
    """A certificate says it; what is none does not, nor fails."""
    end = certificate_end(RECORDED.cert_pem)
    assert end is not None
    assert end > datetime(2024, 1, 1, tzinfo=UTC).timestamp()
    assert [certificate_end(octets) for octets in (b"", b"certificate", bytes(MOST_BYTES + 1))] == [None] * 3


def test_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read when somebody looks, and again when a heartbeat brings another one."""
    read: list[bytes] = []

    def end(octets: bytes) -> float:
        read.append(octets)
        return float(len(read))

    monkeypatch.setattr(build_server, "certificate_end", end)
    server = BuildServer(SERVER, Heartbeat(b"", 1, 1, b"one", b"PEM one"), 0.0)
    server.heartbeat = Heartbeat(b"", 1, 1, b"one", b"PEM one")
    assert read == []
    assert (server.certificate_end, server.certificate_end, read) == (1.0, 1.0, [b"PEM one"])
    server.heartbeat = Heartbeat(b"", 1, 1, b"two", b"PEM two")
    assert (server.certificate_end, read) == (2.0, [b"PEM one", b"PEM two"])


def test_any_octets() -> None:
    """A certificate in which any one byte is another is refused or read, and nothing else."""
    octets = der(made())
    for place in range(len(octets)):
        for flip in (1, 0x80):
            wrong = bytearray(octets)
            wrong[place] ^= flip
            with contextlib.suppress(DecodeError):
                assert certificate_digest(pem(bytes(wrong)), SERVER) == hashlib.sha256(wrong).digest()
