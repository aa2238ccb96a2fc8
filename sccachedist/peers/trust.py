"""TLS that accepts certificates that are known, and what they or the platform's authorities have signed.

A certificate that is known itself is accepted by whatever name its holder is called, on any date: as with
:mod:`sccachedist.peers.pins`, knowing the certificate is knowing the peer. What an authority has signed has to be for
the peer's name, and in force. This module knows nothing of HTTP but the interface by which an agent asks how to do TLS.
"""

from ipaddress import ip_address

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import extract_patterns
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from sccachedist.errors import ConfigError


def certificates_in(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM file.

    :raises ConfigError: there is none, or it cannot be read.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigError("expected certificates in the PEM format") from error


class _Judged(SSL.Connection):
    """A TLS connection that knows whom it is for, and whether OpenSSL has found fault with its peer's chain."""

    def __init__(self, context: SSL.Context, host: str) -> None:
        super().__init__(context, None)
        self.host, self.is_faulty = host, False


@implementer(IOpenSSLClientConnectionCreator)
@attrs.frozen
class _Connections:
    """Opens TLS to a host."""

    _context: SSL.Context
    _host: str

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:  # noqa: N803
        """The TLS half of a connection."""
        connection = _Judged(self._context, self._host)
        if isinstance(_service(self._host), DNS_ID):
            connection.set_tlsext_host_name(self._host.encode("idna"))
        return connection


@implementer(IPolicyForHTTPS)
class CertificatePolicy:
    """TLS for an agent.

    :param certificates: that are known; None if the platform's authorities vouch for a peer.
    :param name: of all peers; by default, the host of a URL is its name.
    :ivar pinned: the SHA-256 digests of the DER forms of the certificates that are accepted as they are. More of them
        may come.
    """

    def __init__(self, certificates: list[x509.Certificate] | None, name: str | None = None) -> None:
        self.pinned = {certificate.fingerprint(SHA256()) for certificate in certificates or ()}
        self._name = name
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.set_min_proto_version(SSL.TLS1_2_VERSION)
        if certificates is None:
            self._context.set_default_verify_paths()
        store = self._context.get_cert_store()
        assert store is not None  # a context has one
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)  # a known authority need not have signed itself
        for certificate in certificates or ():
            store.add_cert(crypto.X509.from_cryptography(certificate))
        self._context.set_verify(SSL.VERIFY_PEER, self._judge)

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """How to do TLS with a URL's host and port."""
        return _Connections(self._context, self._name or hostname.decode("ascii"))

    def _judge(self, connection: SSL.Connection, certificate: crypto.X509, _: int, depth: int, is_good: int) -> bool:
        """Decide on one certificate of a chain for OpenSSL, which asks for the leaf (depth 0) in any case, and last."""
        assert isinstance(connection, _Judged)
        connection.is_faulty |= not is_good
        if depth > 0:
            return True
        leaf = certificate.to_cryptography()
        return leaf.fingerprint(SHA256()) in self.pinned or (
            not connection.is_faulty and _is_for(leaf, connection.host)
        )


def _is_for(certificate: x509.Certificate, host: str) -> bool:
    try:
        verify_service_identity(extract_patterns(certificate), [_service(host)], [])
    except (VerificationError, CertificateError):
        return False
    return True


def _service(host: str) -> DNS_ID | IPAddress_ID:
    try:
        return IPAddress_ID(ip_address(host))
    except ValueError:
        return DNS_ID(host)
