"""The identity that a build server shows at the moment, with its TLS context: it may change while it listens.

How an identity is made and kept is in :mod:`sccachedist.server.identity`.
"""

from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from sccachedist.daemon.logs import Logger
from sccachedist.server.identity import Identity, load_identity
from sccachedist.web.tls import server_context
from sccachedist.wire.addresses import ServerId

log = Logger()


@implementer(IOpenSSLServerConnectionCreator)
class ShownIdentity:
    """The identity that was loaded last, and its TLS context.

    :param directory: where it is kept.
    :param public_addr: the address at which clients reach this server.
    """

    current: Identity
    #: When its certificate expires, in seconds since 1970.
    expires: float
    _begins: datetime
    _context: SSL.Context

    def __init__(self, directory: Path, public_addr: ServerId) -> None:
        self._directory, self._public_addr = directory, public_addr
        self._trouble = ""

    def load(self) -> None:
        """Load the identity, or renew it if it is time; new connections get this one.

        :raises OSError: the directory cannot be used.
        """
        self.current = load_identity(
            self._directory, self._public_addr, datetime.now(UTC), lambda text: log.info("{text}", text=text)
        )
        key = load_pem_private_key(self.current.private_key_pem, password=None)
        certificate = load_pem_x509_certificate(self.current.certificate_pem)
        self._context, self.expires = server_context(key, [certificate]), certificate.not_valid_after_utc.timestamp()
        self._begins, self._trouble = certificate.not_valid_before_utc, ""

    def renew(self) -> bool:
        """Load the identity again if its certificate is not good now; returns whether another is shown.

        A daemon that starts before its host's clock is set makes a certificate that no client trusts. So it is looked
        at often, which costs nothing. What keeps a new one from the disk is told once; the one from before is shown.
        """
        if self._begins <= datetime.now(UTC) < self.current.renew_at:
            return False
        shown = self.current
        try:
            self.load()
        except OSError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                log.warn("the certificate is not renewed: {error}", error=self._trouble)
        return self.current != shown

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Begin TLS on a new connection."""
        return SSL.Connection(self._context, None)
