"""Signatures, against the examples that Amazon has published for its protocol, and where credentials come from."""

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest

from sccachedist.errors import DiskError, PeerError
from sccachedist.objects.signing import Signer

KEY = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOTHING = hashlib.sha256().hexdigest()
URL = "https://examplebucket.s3.amazonaws.com/test.txt"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of this host are found."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def signature(method: str, headers: dict[str, str], when: str) -> str:
    """The signature of a request for the object of the example, as Amazon describes it."""
    names = sorted(name.lower() for name in headers)
    lines = [f"{name}:{next(value for key, value in headers.items() if key.lower() == name)}" for name in names]
    request = "\n".join((method, "/test.txt", "", *lines, "", ";".join(names), NOTHING))
    scope = f"{when[:8]}/us-east-1/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", when, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = b"AWS4" + KEY[1].encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def test_published_example() -> None:
    """The first bytes of an object: what the example has for one time holds for each."""
    headers = {"Host": "examplebucket.s3.amazonaws.com", "Range": "bytes=0-9", "X-Amz-Content-SHA256": NOTHING}
    published = signature("GET", headers | {"X-Amz-Date": "20130524T000000Z"}, "20130524T000000Z")
    assert published == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    signed = Signer("us-east-1", KEY).signed("GET", URL, {"Range": "bytes=0-9"}, None)
    when = signed["X-Amz-Date"]
    assert signed["Authorization"] == (
        f"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/{when[:8]}/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        f"Signature={signature('GET', headers | {'X-Amz-Date': when}, when)}"
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


def test_not_readable(tmp_path: Path) -> None:
    """A file with credentials that is none is said as well."""
    (tmp_path / "credentials").mkdir()
    with pytest.raises(PeerError, match="no credentials") as error:
        Signer("us-east-1", None).signed("GET", URL, {}, None)
    assert error.value.status == 401
