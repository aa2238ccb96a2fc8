"""TLS as a server does it: which versions, which ciphers, which certificate.

It does not know whether a client trusts the certificate, nor what is spoken over TLS.
"""

from collections.abc import Callable
from functools import partial
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
from sccachedist.given_files import read_given

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
    :raises ConfigError: a file cannot be used; the text has the key that names it.
    """

    expires: float

    def __init__(self, certificate: Path, private_key: Path) -> None:
        self._use(*_load(certificate, private_key))

    def read_again(self, certificate: Path, private_key: Path) -> Callable[[], None]:
        """Read these files; the returned function has new connections see what they have.

        :raises ConfigError: a file cannot be used; the text has the key that names it.
        """
        return partial(self._replace, *_load(certificate, private_key))

    def _replace(self, chain: list[Certificate], context: SSL.Context) -> None:
        self._use(chain, context)
        log.info("the certificate was read again")

    def _use(self, chain: list[Certificate], context: SSL.Context) -> None:
        self._context, self.expires = context, chain[0].not_valid_after_utc.timestamp()

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Begin TLS on a new connection."""
        return SSL.Connection(self._context, None)


def _load(certificate: Path, private_key: Path) -> tuple[list[Certificate], SSL.Context]:
    """What the files have.

    :raises ConfigError: a file cannot be used; the text has the key that names it.
    """
    try:
        chain = load_pem_x509_certificates(read_given(certificate))
    except (OSError, ValueError) as error:
        raise ConfigError(f"tls.certificate: {certificate}: {_why(error)}") from error
    try:
        key = load_pem_private_key(read_given(private_key), password=None)
        return chain, server_context(key, chain)
    except (OSError, TypeError, ValueError) as error:
        raise ConfigError(f"tls.private_key: {private_key}: {_why(error)}") from error
    except SSL.Error as error:
        raise ConfigError(f"tls.private_key: {private_key}: not the key of the certificate") from error


def _why(error: Exception) -> str:
    """The reason, with nothing of the file's content."""
    return error.strerror or "cannot be read" if isinstance(error, OSError) else "not PEM, or not without a passphrase"
