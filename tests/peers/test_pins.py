"""TLS to a build server: the pinned certificate is accepted, and no other, whatever an attacker tries."""

import hashlib
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.test.iosim import connectedServerAndClient
from zope.interface import implementer

from sccachedist.errors import PeerError
from sccachedist.peers.pins import PinPolicy, Pins
from sccachedist.wire.addresses import ServerId

HERE = ServerId.parse("127.0.0.1:10501")
Key = ec.EllipticCurvePrivateKey


@implementer(IOpenSSLServerConnectionCreator)
@attrs.frozen
class Shown:
    """What a server shows when it is connected to."""

    key: Key
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()
    newest: int = SSL.TLS1_3_VERSION

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.certificate.public_bytes(Encoding.DER)).digest()

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:  # noqa: N803
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_VERSION)
        context.set_max_proto_version(self.newest)
        context.use_privatekey(self.key)
        context.use_certificate(self.certificate)
        for certificate in self.chain:
            context.add_extra_chain_cert(certificate)
        return SSL.Connection(context, None)


def certified(key: Key | None = None, days: int = 10) -> Shown:
    """A key, by default a new one, and a certificate of its own that expires in ``days``."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1:10501")])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=50))
        .not_valid_after(datetime.now(UTC) + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    return Shown(key, certificate)


class Greeter(Protocol):
    """Says hello to who is connected, which is heard only after the handshake."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")


class Hearer(Protocol):
    """Keeps what it hears and how it ended."""

    heard = b""
    lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


def connect(pins: Pins, shown: Shown, host: str = "127.0.0.1", port: int = 10501) -> Hearer:
    """Connect to a server that shows this, under that address, in memory."""
    clock = Clock()
    hearer = Hearer()
    creator = PinPolicy(pins).creatorForNetloc(host.encode(), port)
    client = TLSMemoryBIOFactory(creator, True, Factory.forProtocol(lambda: hearer), clock)
    server = TLSMemoryBIOFactory(shown, False, Factory.forProtocol(Greeter), clock)
    _, _, pump = connectedServerAndClient(lambda: server.buildProtocol(None), lambda: client.buildProtocol(None))
    for _ in range(5):
        clock.advance(0)
        pump.flush()
    return hearer


def pinned(shown: Shown, server_id: ServerId = HERE) -> Pins:
    pins = Pins()
    pins.set(server_id, shown.digest)
    return pins


@pytest.mark.parametrize("newest", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_pinned(newest: int) -> None:
    """The pinned certificate is all that it takes."""
    shown = attrs.evolve(certified(), newest=newest)
    assert connect(pinned(shown), shown).heard == b"hello"


def test_ipv6() -> None:
    """An IPv6 address is pinned however it is spelled."""
    shown = certified()
    pins = pinned(shown, ServerId.parse("[::1]:10501"))
    assert connect(pins, shown, host="0:0:0:0:0:0:0:1").heard == b"hello"


@pytest.mark.parametrize("days", [-1, -49])
def test_expired(days: int) -> None:
    """A server that has shown its certificate for longer than that is valid still is the same server."""
    shown = certified(days=days)
    assert connect(pinned(shown), shown).heard == b"hello"


OURS = certified()
THEIRS = certified()
#: Signed by the first one's key, which it shows as well.
CHILD = Shown(
    THEIRS.key,
    x509.CertificateBuilder(
        OURS.certificate.issuer,
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "child")]),
        THEIRS.key.public_key(),
        x509.random_serial_number(),
        datetime.now(UTC) - timedelta(days=1),
        datetime.now(UTC) + timedelta(days=1),
    ).sign(OURS.key, SHA256()),
    (OURS.certificate,),
)

ATTACKS = {
    "another certificate with the same subject": THEIRS,
    "another certificate of the same key": certified(OURS.key),
    "the pinned certificate behind another one": attrs.evolve(THEIRS, chain=(OURS.certificate,)),
    "a certificate signed by the pinned one's key": CHILD,
    "a version of TLS from before 1.2": attrs.evolve(OURS, newest=SSL.TLS1_1_VERSION),
}


def test_with_its_authority() -> None:
    """A pinned certificate is good as it is, also where the one that signed it is shown and is not pinned."""
    assert connect(pinned(CHILD), CHILD).heard == b"hello"


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack(attack: str) -> None:
    """Who does not show the pinned certificate hears nothing of us, and we nothing of him."""
    hearer = connect(pinned(OURS), ATTACKS[attack])
    assert hearer.heard == b""
    assert hearer.lost is not None
    assert hearer.lost.check(SSL.Error)


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 10502), ("127.0.0.2", 10501), ("localhost", 10501), ("", 0), ("::1%1", 1)]
)
def test_no_pin(host: str, port: int) -> None:
    """The right certificate at the wrong address is not even looked at: no pin, no call."""
    with pytest.raises(PeerError, match="no certificate is pinned"):
        connect(pinned(OURS), OURS, host, port)


def test_changed() -> None:
    """A new pin replaces the old one."""
    pins = pinned(OURS)
    pins.set(HERE, THEIRS.digest)
    assert connect(pins, OURS).heard == b""
    assert connect(pins, THEIRS).heard == b"hello"


def test_forgotten() -> None:
    """A server that is gone is not called any more; that it is gone may be said twice."""
    pins = pinned(OURS)
    for _ in range(2):
        pins.forget(HERE)
    with pytest.raises(PeerError):
        connect(pins, OURS)
