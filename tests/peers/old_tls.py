"""``python -m tests.peers.old_tls WHO VERSION``: says whether they meet, where a host's policy permits all of TLS.

WHO is one of :data:`WAYS`; the other side of the connection speaks no newer version than VERSION.
"""

import contextlib
import datetime
import hashlib
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory

from sccachedist.client.web_client import Question, Trust
from sccachedist.errors import PeerError
from sccachedist.peers.pins import PinPolicy, Pins
from sccachedist.peers.trust import CertificatePolicy
from sccachedist.web.tls import server_context
from sccachedist.wire.addresses import ServerId

HOST, PORT = "127.0.0.1", 10501
KEY = ec.generate_private_key(ec.SECP256R1())
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
_NOW = datetime.datetime.now(datetime.UTC)
CERTIFICATE = (
    x509.CertificateBuilder(_NAME, _NAME, KEY.public_key(), x509.random_serial_number())
    .not_valid_before(_NOW - datetime.timedelta(days=1))
    .not_valid_after(_NOW + datetime.timedelta(days=1))
    .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
    .sign(KEY, SHA256())
)
DIGEST = hashlib.sha256(CERTIFICATE.public_bytes(Encoding.DER)).digest()


def shake(client: SSL.Connection, server: SSL.Connection) -> bool:
    """Whether the two end their handshake, in memory."""
    server.set_accept_state()
    ended = 0
    try:
        for _ in range(6):
            ended = 0
            for one, other in ((client, server), (server, client)):
                with contextlib.suppress(SSL.WantReadError):
                    one.do_handshake()
                    ended += 1
                with contextlib.suppress(SSL.WantReadError):
                    other.bio_write(one.bio_read(1 << 16))
    except SSL.Error:
        return False
    return ended == 2


def of_client(creator: IOpenSSLClientConnectionCreator, version: int) -> bool:
    """What becomes of a client of ours."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_max_proto_version(version)
    context.use_privatekey(KEY)
    context.use_certificate(CERTIFICATE)
    protocol = TLSMemoryBIOFactory(creator, True, Factory.forProtocol(Protocol), Clock()).buildProtocol(None)
    client = creator.clientConnectionForTLS(protocol)
    client.set_connect_state()
    return shake(client, SSL.Connection(context, None))


def of_policy(version: int, *, pinned: bool) -> bool:
    """What becomes of a call of a daemon."""
    pins = Pins()
    pins.set(ServerId(ip_address(HOST), PORT), DIGEST)
    policy = PinPolicy(pins) if pinned else CertificatePolicy([CERTIFICATE])
    return of_client(policy.creatorForNetloc(HOST.encode(), PORT), version)


def of_store(version: int) -> bool:
    """What becomes of a connection to the schedulers' store."""
    trusted = trustRootFromCertificates([Certificate.loadPEM(CERTIFICATE.public_bytes(Encoding.PEM))])
    return of_client(optionsForClientTLS(HOST, trusted), version)


def of_any_client(version: int, server: SSL.Context) -> bool:
    """What becomes of a client that takes everything."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(version)
    client = SSL.Connection(context, None)
    client.set_connect_state()
    return shake(client, SSL.Connection(server, None))


def of_command(version: int, *, pinned: bool) -> bool:
    """What becomes of a command's request."""
    with tempfile.TemporaryDirectory() as place, socket.create_server((HOST, 0)) as port:
        file, both = Path(place, "certificate.pem"), Path(place, "both.pem")
        file.write_bytes(CERTIFICATE.public_bytes(Encoding.PEM))
        key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        both.write_bytes(file.read_bytes() + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        context.maximum_version = ssl.TLSVersion(version)

        def answer() -> None:
            with contextlib.suppress(OSError):
                connection, _ = port.accept()
                with connection, context.wrap_socket(connection, server_side=True) as secured:
                    secured.recv(1 << 16)
                    secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        trust = Trust(pin=DIGEST) if pinned else Trust(authorities=file)
        try:
            return Question(f"https://{HOST}:{port.getsockname()[1]}/").ask(10, trust).status == 200
        except PeerError:
            return False
        finally:
            thread.join()


def lax_server() -> SSL.Context:
    """A server that takes what the host's policy permits."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_privatekey(KEY)
    context.use_certificate(CERTIFICATE)
    return context


#: What connects, or is connected to. The first one shows what a host's policy permits.
WAYS: dict[str, Callable[[int], bool]] = {
    "no guard": lambda version: of_any_client(version, lax_server()),
    "daemon, pinned": lambda version: of_policy(version, pinned=True),
    "daemon, trusted": lambda version: of_policy(version, pinned=False),
    "store": of_store,
    "port": lambda version: of_any_client(version, server_context(KEY, [CERTIFICATE])),
    "command, pinned": lambda version: of_command(version, pinned=True),
    "command, trusted": lambda version: of_command(version, pinned=False),
}


if __name__ == "__main__":
    print("met" if WAYS[sys.argv[1]](int(sys.argv[2])) else "refused")
