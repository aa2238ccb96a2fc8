"""Whose certificates the certificates of a PEM file vouch for, over TLS in memory."""

import contextlib
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from sccachedist.errors import ConfigError
from sccachedist.peers.trust import CertificatePolicy, certificates_in

DAY = timedelta(days=1)
NOW = datetime.now(UTC)


@attrs.frozen
class Holder:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def holder(
    *names: str, signer: Holder | None = None, is_authority: bool = False, until: datetime = NOW + DAY
) -> Holder:
    """A certificate for some names and addresses; signed by itself if there is no signer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"holder {id(key)}")])
    general = [x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names]
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.issuer_name(signer.certificate.subject if signer else subject)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(NOW - 9 * DAY).not_valid_after(until)
    builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    if general:
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return Holder(builder.sign(signer.key if signer else key, SHA256()), key)


def accepts(policy: CertificatePolicy, host: str, *shown: Holder) -> bool:
    """Whether TLS begins with a host that shows these certificates, its own first."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_privatekey(shown[0].key)
    context.use_certificate(shown[0].certificate)
    for each in shown[1:]:
        context.add_extra_chain_cert(each.certificate)
    server = SSL.Connection(context, None)
    client: Any = policy.creatorForNetloc(host.encode(), 443)
    client = client.clientConnectionForTLS(None)
    client.set_connect_state()
    server.set_accept_state()
    for _ in range(4):
        for side, other in ((client, server), (server, client)):
            try:
                side.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error:
                return False
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(side.bio_read(1 << 16))
    return bool(client.get_peer_certificate())


def test_the_very_certificate() -> None:
    """A certificate of the file is accepted under any name and on any date; another one is not."""
    known, other = holder("10.0.0.1", until=NOW - DAY), holder("10.0.0.1")
    policy = CertificatePolicy([known.certificate])
    assert accepts(policy, "10.9.9.9", known)
    assert accepts(policy, "gateway.example", known)
    assert not accepts(policy, "10.0.0.1", other)


def test_one_more_certificate() -> None:
    """Which certificates are accepted may change."""
    known, other = holder("10.0.0.1"), holder("10.0.0.1")
    policy = CertificatePolicy([known.certificate])
    policy.pinned.add(other.certificate.fingerprint(SHA256()))
    assert accepts(policy, "10.0.0.1", other)


@pytest.mark.parametrize(
    ("host", "is_good"),
    [("gateway.example", True), ("10.0.0.1", True), ("other.example", False), ("10.0.0.2", False)],
)
def test_signed_by_an_authority(host: str, is_good: bool) -> None:
    """What an authority of the file has signed is accepted for its own names alone."""
    authority = holder(is_authority=True)
    leaf = holder("gateway.example", "10.0.0.1", signer=authority)
    assert accepts(CertificatePolicy([authority.certificate]), host, leaf) is is_good


def test_signed_by_an_intermediate_authority() -> None:
    """The file may have an authority that another one has signed."""
    root = holder(is_authority=True)
    between = holder(signer=root, is_authority=True)
    leaf = holder("gateway.example", signer=between)
    assert accepts(CertificatePolicy([between.certificate]), "gateway.example", leaf)
    assert accepts(CertificatePolicy([root.certificate]), "gateway.example", leaf, between)


def test_what_authorities_do_not_vouch_for() -> None:
    """A certificate is refused that has expired, that a stranger signed, or that one without authority signed."""
    authority = holder(is_authority=True)
    policy = CertificatePolicy([authority.certificate])
    assert not accepts(policy, "a.example", holder("a.example", signer=authority, until=NOW - DAY))
    assert not accepts(policy, "a.example", holder("a.example", signer=holder(is_authority=True)))
    mere = holder("b.example", signer=authority)
    assert not accepts(policy, "a.example", holder("a.example", signer=mere), mere)
    assert not accepts(policy, "a.example", holder("a.example"), authority)
    assert not accepts(policy, "a.example", holder(signer=authority))


def test_not_pem() -> None:
    """A file without certificates is an error of the configuration."""
    with pytest.raises(ConfigError):
        certificates_in(b"nothing")
