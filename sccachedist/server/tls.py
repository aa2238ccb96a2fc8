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

#: Seconds after the start in which a clock that is set was wrong before.
YOUNG_SECS = 600.0


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

    def is_outdated_at(self, time: float) -> bool:
        """Whether the certificate has to be replaced at a time, in seconds since 1970."""
        return not self._begins.timestamp() <= time < self.current.renew_at.timestamp()

    def renew(self) -> bool:
        """Load the identity again if its certificate has to be replaced now; returns whether another is shown.

        What keeps a new one from the disk is told once, and the one from before is shown.
        """
        if not self.is_outdated_at(datetime.now(UTC).timestamp()):
            return False
        shown = self.current
        try:
            self.load()
        except OSError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                log.warn("the certificate is not renewed: {error}", error=self._trouble)
        return self.current != shown

    def renew_early(self, time_there: float | None, up_secs: float) -> bool:
        """As :meth:`renew`, if this host's clock was wrong when the certificate was made, as far as that can be told.

        A daemon that starts before its host's clock is set makes a certificate that no client trusts. A clock that is
        set wrong later makes a good one look outdated, to this host alone: that one stays.

        :param time_there: the time by the scheduler's clock, None if that is not known; it decides.
        :param up_secs: since this daemon has started: in the first minutes, it is a clock that is set right.
        """
        is_agreed = time_there is not None and self.is_outdated_at(time_there)
        return (is_agreed or up_secs < YOUNG_SECS) and self.renew()

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Begin TLS on a new connection."""
        return SSL.Connection(self._context, None)
