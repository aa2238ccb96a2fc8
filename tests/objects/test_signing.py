"""Signatures, against the examples that Amazon has published for its protocol, and where credentials come from."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore import auth

from sccachedist.errors import DiskError, PeerError
from sccachedist.objects.signing import Signer

KEY = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
URL = "https://examplebucket.s3.amazonaws.com/test.txt"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of this host are found."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def test_published_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first bytes of an object, as the example has it."""
    monkeypatch.setattr(auth, "get_current_datetime", lambda: datetime(2013, 5, 24, tzinfo=UTC), raising=False)
    signed = Signer("us-east-1", KEY).signed("GET", URL, {"Range": "bytes=0-9"}, None)
    assert signed["Range"] == "bytes=0-9"
    assert signed["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


def test_a_file_is_covered(tmp_path: Path) -> None:
    """The digest of what is put is part of the signature, so that no other content is taken for it."""
    (tmp_path / "file").write_bytes(b"abc")
    signed = Signer("us-east-1", KEY).signed("PUT", URL, {"If-None-Match": "*"}, tmp_path / "file")
    assert signed["X-Amz-Content-SHA256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert "if-none-match" in signed["Authorization"]
    with pytest.raises(DiskError):
        Signer("us-east-1", KEY).signed("PUT", URL, {}, tmp_path / "missing")


def test_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials and the region of the environment and of files are found, and a temporary token goes along."""
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = from-a-file\naws_secret_access_key = secret\n"
    )
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\n")
    signed: dict[str, Any] = Signer(None, None).signed("GET", URL, {}, None)
    assert "Credential=from-a-file/" in signed["Authorization"]
    assert "/eu-west-1/s3/" in signed["Authorization"]
    for name, value in (("ACCESS_KEY_ID", "of-here"), ("SECRET_ACCESS_KEY", "secret"), ("SESSION_TOKEN", "token")):
        monkeypatch.setenv(f"AWS_{name}", value)
    signed = Signer("eu-north-1", None).signed("GET", URL, {}, None)
    assert "Credential=of-here/" in signed["Authorization"]
    assert "/eu-north-1/s3/" in signed["Authorization"]
    assert signed["X-Amz-Security-Token"] == "token"


def test_none_found() -> None:
    """Without credentials, nothing is sent; the error says which keys have some."""
    signer = Signer(None, None)
    assert signer.region == "us-east-1"
    with pytest.raises(PeerError, match="store_access_key") as error:
        signer.signed("GET", URL, {}, None)
    assert error.value.status == 401
