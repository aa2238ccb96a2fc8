"""Which gateways a worker trusts: those of its file, and their next certificates, also after a restart."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from sccachedist.errors import ConfigError
from sccachedist.worker.trusted import MOST_BYTES, MOST_KEPT, TrustedCertificates
from tests.peers.test_trust import Holder, holder

URL = "https://10.0.0.1:1"


def pem(*holders: Holder) -> bytes:
    return b"".join(each.certificate.public_bytes(Encoding.PEM) for each in holders)


def digest(of: Holder) -> bytes:
    return of.certificate.fingerprint(SHA256())


@pytest.fixture
def first() -> Holder:
    return holder("10.0.0.1")


@pytest.fixture
def file(tmp_path: Path, first: Holder) -> Path:
    (tmp_path / "gateway.pem").write_bytes(pem(first))
    return tmp_path / "gateway.pem"


def test_the_next_certificate(tmp_path: Path, file: Path, first: Holder) -> None:
    """It is trusted beside the first: at once by those that dial now, and after a restart. Twice is once."""
    trusted, second = TrustedCertificates(file, tmp_path / "kept"), holder("10.0.0.1")
    trusted.load()
    dialling = trusted.policy("gateway.example")
    for _ in range(2):
        trusted.add(URL, pem(second))
    assert dialling.pinned == {digest(first), digest(second)}
    assert trusted.policy("other").pinned == dialling.pinned
    again = TrustedCertificates(file, tmp_path / "kept")
    again.load()
    assert again.policy("gateway.example").pinned == dialling.pinned


def test_a_gateway_that_tells_of_many(tmp_path: Path, file: Path, first: Holder) -> None:
    """Its latest two are trusted; those of others stay, also after a restart."""
    trusted, other = TrustedCertificates(file, tmp_path / "kept"), holder("10.0.0.2")
    trusted.load()
    dialling = trusted.policy("gateway.example")
    trusted.add("https://10.0.0.2:1", pem(other))
    told = [holder("10.0.0.1") for _ in range(5)]
    for each in told:
        trusted.add(URL, pem(each))
    assert dialling.pinned == {digest(first), digest(other), *map(digest, told[-2:])}
    again = TrustedCertificates(file, tmp_path / "kept")
    again.load()
    assert again.policy("gateway.example").pinned == dialling.pinned


def test_another_file(tmp_path: Path, file: Path, first: Holder) -> None:
    """A worker that gets another file forgets what followed on the first."""
    trusted, second = TrustedCertificates(file, tmp_path / "kept"), holder("10.0.0.1")
    trusted.load()
    trusted.add(URL, pem(second))
    file.write_bytes(pem(other := holder("10.0.0.1")))
    again = TrustedCertificates(file, tmp_path / "kept")
    again.load()
    assert again.policy("10.0.0.1").pinned == {digest(other)}


def test_many_gateways_and_large_certificates(tmp_path: Path, file: Path, first: Holder) -> None:
    """The latest are kept, for this user alone; one too large for a certificate is not trusted."""
    trusted = TrustedCertificates(file, tmp_path / "kept")
    told = [holder(f"10.0.1.{number}") for number in range(MOST_KEPT + 2)]
    for number, each in enumerate(told):
        trusted.add(f"https://10.0.1.{number}:1", pem(each))
    trusted.add(URL, pem(holder(*(f"{number:x>60}.example" for number in range(MOST_BYTES // 60)))))
    latest = {digest(first), *map(digest, told[2:])}
    assert trusted.policy("gateway.example").pinned == latest
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    again = TrustedCertificates(file, tmp_path / "kept")
    again.load()
    assert again.policy("gateway.example").pinned == latest


def test_what_is_no_news(tmp_path: Path, file: Path, first: Holder) -> None:
    """The certificate that is known, and what is none, change nothing."""
    trusted = TrustedCertificates(file, tmp_path / "kept")
    trusted.add(URL, pem(first))
    trusted.add(URL, b"nonsense")
    assert not (tmp_path / "kept").exists()


def test_kept_certificates_that_are_broken(tmp_path: Path, file: Path, first: Holder) -> None:
    """They are as none: the worker starts all the same."""
    trusted = TrustedCertificates(file, tmp_path / "kept")
    trusted.add(URL, pem(holder("10.0.0.1")))
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_bytes(b"nonsense")
    again = TrustedCertificates(file, tmp_path / "kept")
    again.load()
    assert again.policy("10.0.0.1").pinned == {digest(first)}


@pytest.mark.parametrize("content", [None, b"nonsense"])
def test_a_wrong_file(tmp_path: Path, content: bytes | None) -> None:
    """The error names the key and the file."""
    if content is not None:
        (tmp_path / "wrong.pem").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^gateway.certificate_file: {tmp_path}/wrong.pem"):
        TrustedCertificates(tmp_path / "wrong.pem", tmp_path / "kept")
