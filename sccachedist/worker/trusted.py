"""Which certificates of gateways a worker trusts: those of the file that it was given, and their successors.

A build server makes itself a new certificate when two thirds of the life of the old one are over. A gateway tells its
workers over connections that stand, and they keep it, in a file that belongs to the one that they were given: another
file begins a new list.
"""

import hashlib
import os
from pathlib import Path

import attrs
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from sccachedist.daemon.logs import Logger
from sccachedist.directories import open_private, read_private
from sccachedist.errors import ConfigError, UntrustedPath
from sccachedist.given_files import read_given
from sccachedist.peers.trust import CertificatePolicy, certificates_in

log = Logger()

#: The directory beside what else belongs to one daemon in a ``cache_dir``.
DIRECTORY = "gateways"
#: How many successors one gateway has, and all of them; and the most bytes of one, in PEM.
MOST_OF_GATEWAY, MOST_KEPT, MOST_BYTES = 2, 128, 1 << 14


@attrs.frozen
class _Successor:
    """A certificate that a gateway has told of.

    :param teller: its URL; empty if it was told before this process began.
    """

    digest: bytes
    pem: bytes
    teller: str = ""


class TrustedCertificates:
    """Those of one file.

    :param file: the one that the configuration names, PEM.
    :param directory: a private one, where successors are kept.
    :ivar certificates: what all policies made of this accept.
    :raises ConfigError: the file cannot be used; the text begins with the key.
    """

    def __init__(self, file: Path, directory: Path) -> None:
        key = "gateway.certificate_file"
        try:
            pem = read_given(file)
            self.certificates = certificates_in(pem)
        except OSError as error:
            raise ConfigError(f"{key}: {file} cannot be read: {error.strerror}") from error
        except ConfigError as error:
            raise ConfigError(f"{key}: {file}: {error}") from error
        self._given = {each.fingerprint(SHA256()) for each in self.certificates}
        self._name, self._directory = f"{hashlib.sha256(pem).hexdigest()[:32]}.pem", directory
        self._successors: list[_Successor] = []
        self._policies: list[CertificatePolicy] = []

    def load(self) -> None:
        """Trust the successors that are kept; a file that cannot be used is as none."""
        try:
            place = open_private(self._directory)
            try:
                kept = read_private(place, self._name, MOST_KEPT * MOST_BYTES)
            finally:
                os.close(place)
            for certificate in certificates_in(kept):
                self._accept(_successor(certificate))
        except FileNotFoundError:
            pass
        except (OSError, UntrustedPath, ConfigError) as error:
            log.warn("certificates of gateways that were kept are not used: {error}", error=str(error))

    def policy(self, host: str) -> CertificatePolicy:
        """TLS with one gateway.

        :param host: its name, also where it is called by an address.
        """
        policy = CertificatePolicy(self.certificates, host)
        policy.pinned = self._pinned
        self._policies.append(policy)
        return policy

    def forget(self, policy: CertificatePolicy) -> None:
        """Note that a policy is used no more."""
        self._policies.remove(policy)

    def add(self, gateway: str, pem: bytes) -> None:
        """Trust the certificate that a gateway will show from now on, and keep it.

        :param gateway: its URL. However many it tells of, it takes none from the others.
        """
        try:
            told = _successor(certificates_in(pem)[0], gateway)
        except ConfigError as error:
            log.warn("a gateway tells of a certificate that is none: {error}", error=str(error))
            return
        if told.digest in self._pinned or len(told.pem) > MOST_BYTES:
            return
        log.info("a gateway has a new certificate, which is trusted as the one before")
        self._accept(told)
        try:
            self._keep()
        except OSError as error:
            log.warn("the new certificate of a gateway is not kept: {error}", error=str(error))

    @property
    def _pinned(self) -> set[bytes]:
        return self._given | {each.digest for each in self._successors}

    def _accept(self, told: _Successor) -> None:
        own = [each for each in self._successors if told.teller and each.teller == told.teller]
        gone = own[: max(0, len(own) + 1 - MOST_OF_GATEWAY)]
        self._successors = [each for each in (*self._successors, told) if each not in gone][-MOST_KEPT:]
        for policy in self._policies:
            policy.pinned = self._pinned

    def _keep(self) -> None:
        place = open_private(self._directory)
        try:
            beside = f".{self._name}"
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=place)
            with open(descriptor, "wb") as file:
                file.write(b"".join(each.pem for each in self._successors))
            os.rename(beside, self._name, src_dir_fd=place, dst_dir_fd=place)
        finally:
            os.close(place)


def _successor(certificate: Certificate, teller: str = "") -> _Successor:
    return _Successor(certificate.fingerprint(SHA256()), certificate.public_bytes(Encoding.PEM), teller)
