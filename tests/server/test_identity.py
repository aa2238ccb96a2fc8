"""A build server's identity: made once, kept, renewed, and never a reason not to start."""

import hashlib
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from sccachedist.server.identity import Identity, load_identity
from sccachedist.wire.addresses import ServerId

NOW = datetime(2026, 3, 1, 12, 30, 15, 999, tzinfo=UTC)
HERE = ServerId.parse("127.0.0.1:10501")


@attrs.define
class Home:
    """A place where an identity is kept, and what was said about it."""

    directory: Path
    remarks: list[str] = attrs.field(factory=list)

    def load(self, public_addr: ServerId = HERE, now: datetime = NOW) -> Identity:
        self.remarks = []
        return load_identity(self.directory, public_addr, now, self.remarks.append)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "cache" / "identity")


def certificate(identity: Identity) -> x509.Certificate:
    return x509.load_pem_x509_certificate(identity.certificate_pem)


def test_kept(home: Home) -> None:
    """A restart changes nothing: tokens and certificates from before stay good."""
    first = home.load()
    assert len(home.remarks) == 2
    assert home.load(now=NOW + timedelta(days=200)) == first
    assert home.remarks == []


def test_for_the_owner_only(home: Home) -> None:
    """No other user of the machine can read the keys, whatever the umask and the owner of the directory."""
    home.directory.mkdir(parents=True, mode=0o777)
    before = os.umask(0)
    try:
        home.load()
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in home.directory.iterdir()}
    assert modes == {"tls.pem": 0o600, "job.key": 0o600}
    assert home.directory.stat().st_mode & 0o777 == 0o700


def test_no_secret_in_its_text(home: Home) -> None:
    """An identity that ends up in a log gives no key away."""
    identity = home.load()
    assert "PRIVATE" not in repr(identity)
    assert repr(identity.job_key) not in repr(identity)


def test_certificate(home: Home) -> None:
    """The certificate is one that all clients and schedulers take (PROTOCOL, fate 6)."""
    identity = home.load()
    shown = certificate(identity)
    extensions = {extension.oid: extension.value for extension in shown.extensions}
    assert extensions == {
        x509.SubjectAlternativeName.oid: x509.SubjectAlternativeName([x509.IPAddress(HERE.host)]),
        x509.ExtendedKeyUsage.oid: x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    }
    assert shown.version is x509.Version.v3
    assert shown.signature_hash_algorithm is not None
    assert shown.signature_hash_algorithm.name == "sha256"
    key = shown.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert shown.not_valid_before_utc <= NOW - timedelta(days=1)
    assert shown.not_valid_after_utc - shown.not_valid_before_utc <= timedelta(days=398)
    der = shown.public_bytes(Encoding.DER)
    assert identity.certificate_digest == hashlib.sha256(der).digest()


def test_no_two_alike(tmp_path: Path) -> None:
    """A client that still has an older certificate of the same server as a root tells the two apart."""
    one, other = (certificate(Home(tmp_path / name).load()) for name in ("one", "other"))
    assert one.serial_number != other.serial_number
    assert one.subject != other.subject


@pytest.mark.parametrize("address", ["127.0.0.1", "2001:db8::1"])
def test_openssl_takes_it_as_its_own_root(home: Home, tmp_path: Path, address: str) -> None:
    """OpenSSL's own verification finds the certificate good for the server's address, and for no other."""
    server_id = ServerId.parse(f"[{address}]:1" if ":" in address else f"{address}:1")
    pem = tmp_path / "root.pem"
    pem.write_bytes(home.load(server_id, datetime.now(UTC)).certificate_pem)
    verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", str(pem), "-verify_ip"]
    assert subprocess.run([*verify, address, str(pem)], capture_output=True, check=False).returncode == 0
    assert subprocess.run([*verify, "192.0.2.9", str(pem)], capture_output=True, check=False).returncode != 0


@pytest.mark.field(20)
@pytest.mark.parametrize(
    ("public_addr", "now", "why"),
    [
        ("192.0.2.7:10501", NOW, "it is not for 192.0.2.7"),
        ("127.0.0.1:10502", NOW, "it is not for 127.0.0.1:10502"),
        (str(HERE), NOW + timedelta(days=264), "two thirds of its life are over"),
        (str(HERE), NOW + timedelta(days=1000), "two thirds of its life are over"),
        (str(HERE), NOW - timedelta(days=2), "its life has not begun"),
    ],
)
def test_renewed(home: Home, public_addr: str, now: datetime, why: str) -> None:
    """A certificate that does not fit any more is replaced, and the job key stays."""
    first = home.load()
    second = home.load(ServerId.parse(public_addr), now)
    assert second.certificate_digest != first.certificate_digest
    assert second.job_key == first.job_key
    assert second.renew_at > now
    assert [why in remark for remark in home.remarks] == [True]
    assert home.load(ServerId.parse(public_addr), now) == second


def broken_files(home: Home) -> dict[str, bytes]:
    pem = (home.directory / "tls.pem").read_bytes()
    elsewhere = Home(home.directory.parent / "elsewhere").load()
    nameless = pem.partition(b"-----BEGIN CERTIFICATE-----")[0]
    return {
        "empty": b"",
        "cut": pem[:-40],
        "key alone": nameless,
        "certificate alone": pem[len(nameless) :],
        "another key": elsewhere.private_key_pem + pem[len(nameless) :],
        "not PEM": b"\xff\x00" * 100,
    }


@pytest.mark.parametrize("kind", ["empty", "cut", "key alone", "certificate alone", "another key", "not PEM"])
def test_broken_pair(home: Home, kind: str) -> None:
    """A key or certificate that is damaged costs a new one, and is kept for an administrator who wants to look."""
    first = home.load()
    content = broken_files(home)[kind]
    (home.directory / "tls.pem").write_bytes(content)
    second = home.load()
    assert (home.directory / "tls.broken").read_bytes() == content
    assert second.certificate_digest != first.certificate_digest
    assert second.job_key == first.job_key
    assert len(home.remarks) == 1
    assert "tls.broken" in home.remarks[0]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_broken_job_key(home: Home, content: bytes) -> None:
    """So does a job key."""
    first = home.load()
    (home.directory / "job.key").write_bytes(content)
    second = home.load()
    assert (home.directory / "job.broken").read_bytes() == content
    assert len(second.job_key) == 32
    assert attrs.evolve(second, job_key=first.job_key) == first
    assert home.load() == second


def test_crash_while_writing(home: Home) -> None:
    """What a crash left half written is not looked at, and the next start removes it."""
    home.directory.mkdir(parents=True)
    (home.directory / "tls.new").write_bytes(b"half of")
    identity = home.load()
    assert not (home.directory / "tls.new").exists()
    assert home.load() == identity


def test_unwritable(home: Home) -> None:
    """A directory that cannot be had is an error that names it."""
    home.directory.parent.mkdir()
    home.directory.write_bytes(b"a file")
    with pytest.raises(OSError, match=str(home.directory)):
        home.load()
