"""TLS as a server does it: which versions, which ciphers, which certificate.

It does not know whether a client trusts the certificate, nor what is spoken over TLS.
"""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from sccachedist.daemon.logs import Logger
from sccachedist.errors import ConfigError

log = Logger()

#: What TLS 1.2 may use: forward secrecy and authenticated encryption. All of TLS 1.3 has both.
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"


def server_context(private_key: Any, chain: list[Certificate]) -> SSL.Context:
    """TLS 1.2 and up, for any client.

    :raises SSL.Error: key and certificate do not belong together.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    # Clients open a connection for each request and resume none: tickets and sessions would be kept for nothing.
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection keeps none
    context.use_certificate(chain[0])
    for authority in chain[1:]:
        context.add_extra_chain_cert(authority)
    context.use_privatekey(private_key)
    context.check_privatekey()
    return context


@implementer(IOpenSSLServerConnectionCreator)
class CertificateFiles:
    """A certificate and its key in files, as an operator or an ACME client keeps them.

    :param certificate: PEM, the certificate first, then the authorities between it and the root.
    :param private_key: PEM, without a passphrase.
    :ivar expires: when the certificate expires, in seconds since 1970.
    """

    expires: float

    def __init__(self, certificate: Path, private_key: Path) -> None:
        self._certificate, self._private_key = certificate, private_key
        self._context = self._load()

    def reload(self) -> None:
        """Show what the files have now; if that cannot be used, show what was shown before."""
        try:
            self._context = self._load()
        except ConfigError as error:
            log.error("the certificate from before stays: {error}", error=str(error))
        else:
            log.info("the certificate was read again")

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Begin TLS on a new connection."""
        return SSL.Connection(self._context, None)

    def _load(self) -> SSL.Context:
        """What the files have.

        :raises ConfigError: a file cannot be used; the text has the key that names it.
        """
        try:
            chain = load_pem_x509_certificates(self._certificate.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"tls.certificate: {self._certificate}: {_why(error)}") from error
        try:
            private_key = load_pem_private_key(self._private_key.read_bytes(), password=None)
            context = server_context(private_key, chain)
        except (OSError, TypeError, ValueError) as error:
            raise ConfigError(f"tls.private_key: {self._private_key}: {_why(error)}") from error
        except SSL.Error as error:
            raise ConfigError(f"tls.private_key: {self._private_key}: not the key of the certificate") from error
        self.expires = chain[0].not_valid_after_utc.timestamp()
        return context


def _why(error: Exception) -> str:
    """The reason, with nothing of the file's content."""
    return error.strerror or "cannot be read" if isinstance(error, OSError) else "not PEM, or not without a passphrase"
