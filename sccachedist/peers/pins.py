"""Which certificate belongs to which build server, and TLS that accepts that one and no other.

A pin is the SHA-256 of a certificate's DER form, as the build server's own authenticated heartbeat reported it.
Only the pin decides. There is no certificate authority. The certificate's dates do not count, because the pin is
fresher than they are: neither a skewed clock nor a year of uptime makes a server another one. Without a pin there is
no call.

This module knows nothing of HTTP but the interface by which an agent asks how to do TLS.
"""

import hashlib
from ipaddress import ip_address

import attrs
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from sccachedist.errors import PeerError
from sccachedist.wire.addresses import ServerId


@attrs.define
class Pins:
    """The certificates of the build servers, each by the server's address."""

    _digests: dict[ServerId, bytes] = attrs.field(factory=dict, init=False)

    def set(self, server_id: ServerId, digest: bytes) -> None:
        """Accept from ``server_id`` only the certificate whose DER form has this SHA-256."""
        self._digests[server_id] = digest

    def forget(self, server_id: ServerId) -> None:
        """Allow no more calls to ``server_id``. Forgetting twice is no error."""
        self._digests.pop(server_id, None)

    def digest(self, host: bytes, port: int) -> bytes:
        """The pin for a URL's host and port.

        :raises PeerError: there is none.
        """
        try:
            return self._digests[ServerId(ip_address(host.decode("ascii")), port)]
        except (ValueError, KeyError) as error:
            raise PeerError(f"no certificate is pinned for {host!r}, port {port}") from error


class _PinnedConnection(SSL.Connection):
    """A TLS connection that knows which certificate it accepts."""

    def __init__(self, context: SSL.Context, digest: bytes) -> None:
        super().__init__(context, None)
        self.digest = digest


@implementer(IOpenSSLClientConnectionCreator)
@attrs.frozen
class _PinnedConnections:
    """Opens TLS to the holder of the key of the certificate with this digest."""

    _context: SSL.Context
    _digest: bytes

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:  # noqa: N803
        """The TLS half of a connection."""
        return _PinnedConnection(self._context, self._digest)


@implementer(IPolicyForHTTPS)
class PinPolicy:
    """TLS for an agent, by the pin that is in force when a call is made."""

    def __init__(self, pins: Pins) -> None:
        self._pins = pins
        # One context for all connections: making it takes as long as half a handshake.
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.set_min_proto_version(SSL.TLS1_2_VERSION)
        self._context.set_verify(SSL.VERIFY_PEER, _is_pinned)

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """How to do TLS with a URL's host and port.

        :raises PeerError: there is no pin for them.
        """
        return _PinnedConnections(self._context, self._pins.digest(hostname, port))


def _is_pinned(connection: SSL.Connection, certificate: crypto.X509, _: int, depth: int, __: int) -> bool:
    """Decide on one certificate of a chain for OpenSSL, which asks for the leaf (depth 0) in any case.

    What OpenSSL itself found wrong does not count. Certificates that a peer sends along with its leaf prove nothing.
    """
    if depth > 0:
        return True
    der = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
    return isinstance(connection, _PinnedConnection) and hashlib.sha256(der).digest() == connection.digest
