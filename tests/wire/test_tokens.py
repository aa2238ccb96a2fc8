"""Job and server tokens, against such as the published programs made."""

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.errors import DecodeError, PeerRefused, StaleToken
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.messages import JobId
from sccachedist.wire.secret_key import decode_secret_key
from sccachedist.wire.tokens import (
    Grant,
    check_job_token,
    claimed_server,
    job_token,
    read_server_token,
    server_token,
)

# Printed by `sccache-dist auth generate-jwt-hs256-key` and `... generate-jwt-hs256-server-token`, 0.16.0.
SECRET_KEY = "UN7Aqxh39k6PsZtzhNJ2xvL4c109Yx0TIMWDNiYDwN8"
SERVER_TOKENS = {
    "127.0.0.1:21501": "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."
    "eyJleHAiOjAsInNlcnZlcl9pZCI6IjEyNy4wLjAuMToyMTUwMSJ9.LuMcakkO-DNg7hqrn4xi2PandVMXg3d4F-uZkTkh5E4",
    "[::ffff:1.2.3.4]:1": "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."
    "eyJleHAiOjAsInNlcnZlcl9pZCI6Ils6OmZmZmY6MS4yLjMuNF06MSJ9.NFljLD67QnYwP2cJrZ1atSf5daDQGp2gQ6RvaS1q_UA",
}
# From exchange 19 of exchanges.json, where the key was the bytes 0 to 31.
JOB_KEY = bytes(range(32))
JOB_0 = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJleHAiOjAsImpvYl9pZCI6MH0.r4QOt04xs_CUH2iCb74FUzeyU0XXuXjKfFTq-ggIo5Y"
KEY = decode_secret_key(SECRET_KEY)
GCC = ArchiveId("0c" * 32)
HEADER = {"typ": "JWT", "alg": "HS256"}


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def forge(claims: object, key: bytes = JOB_KEY, header: object = HEADER) -> str:
    """A token with any header and claims, signed by hand."""
    signed = ".".join(
        base64url(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, claims)
    )
    return f"{signed}.{base64url(hmac.digest(key, signed.encode(), hashlib.sha256))}"


def test_job_token_is_the_published_one() -> None:
    """A build server of any make knows the job tokens that our scheduler signs."""
    assert job_token(JOB_KEY, JobId(0)) == JOB_0


def test_published_job_token_is_accepted() -> None:
    """A job token that the published scheduler signed opens its job."""
    check_job_token(JOB_0, JOB_KEY, JobId(0))


@pytest.mark.parametrize(("address", "token"), SERVER_TOKENS.items())
def test_server_token_is_the_published_one(address: str, token: str) -> None:
    """A server token is, to the letter, the one that the published command prints."""
    assert server_token(KEY, ServerId.parse(address)) == token
    assert read_server_token(token, KEY) == ServerId.parse(address)


@pytest.mark.parametrize(
    "key",
    [b"", b"short", b"ssh-rsa AAAA", b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----", b"k" * 100],
)
def test_any_job_key(key: bytes) -> None:
    """Whatever a build server gives as its job key signs, as with the published scheduler, without a word."""
    token = job_token(key, JobId(5))
    assert token == forge(b'{"exp":0,"job_id":5}', key, b'{"typ":"JWT","alg":"HS256"}')
    check_job_token(token, key, JobId(5))


def test_stale_job_token() -> None:
    """A token from before a key was lost is told from one that nobody issued: its build must go on."""
    with pytest.raises(StaleToken):
        check_job_token(JOB_0, KEY, JobId(0))


MALFORMED = [
    "",
    "..",
    "a.b.c",
    "\udc80.b.c",
    JOB_0 + ".x",
    forge([]),
    forge(b"{"),
    forge(b"\xff"),
    forge(b"[" * 20_000),
    forge({}, header=b"[" * 20_000),
    forge({}, header=[]),
    forge({}, header={"typ": "JWT"}),
    forge({}, header={"alg": "none"}),
    forge({}, header={"alg": ["HS256"]}),
    forge({}, header=HEADER | {"crit": ["x"]}),
    forge({}, header=HEADER | {"b64": False, "crit": ["b64"]}),
]


@pytest.mark.parametrize("key", [JOB_KEY, KEY], ids=["right key", "other key"])
@pytest.mark.parametrize("token", MALFORMED)
def test_malformed(token: str, key: bytes) -> None:
    """What is no token at all is refused, as a job token and as a server token."""
    with pytest.raises(PeerRefused) as refused:
        check_job_token(token, key, JobId(0))
    assert refused.value.challenge == "invalid_jwt"
    with pytest.raises(PeerRefused) as refused:
        read_server_token(token, key)
    assert refused.value.challenge == "invalid_bearer_token"


@pytest.mark.parametrize("key", [JOB_KEY, KEY], ids=["right key", "other key"])
@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 0, "job_id": 2},
        {"exp": 0, "job_id": "1"},
        {"exp": 0, "job_id": 1.0},
        {"exp": 0, "job_id": True},
        {"exp": False, "job_id": 1},
        {"exp": 1, "job_id": 1},
        {"exp": None, "job_id": 1},
        {"job_id": 1},
        {"exp": 0},
        {"exp": 0, "job_id": 1, "nbf": 0},
        {"exp": 0, "server_id": "127.0.0.1:1"},
    ],
)
def test_wrong_job_claims(claims: object, key: bytes) -> None:
    """A token for another job, or with claims that no scheduler makes, is refused, no matter who signed it."""
    with pytest.raises(PeerRefused):
        check_job_token(forge(claims), key, JobId(1))


@pytest.mark.parametrize("algorithm", ["none", "HS512", "RS256", "hs256"])
def test_other_algorithm(algorithm: str) -> None:
    """The algorithm is fixed, whatever a token's header says."""
    with pytest.raises(PeerRefused):
        check_job_token(forge({"exp": 0, "job_id": 1}, header={"alg": algorithm}), JOB_KEY, JobId(1))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 0},
        {"exp": 0, "server_id": 1},
        {"exp": 0, "server_id": "localhost:1"},
        {"exp": 0, "server_id": "127.0.0.1:1", "iss": "x"},
        {"exp": 0.0, "server_id": "127.0.0.1:1"},
        {"server_id": "127.0.0.1:1"},
    ],
)
def test_wrong_server_claims(claims: object) -> None:
    """A server token must name an address, and nothing else."""
    with pytest.raises(PeerRefused) as refused:
        read_server_token(forge(claims, KEY), KEY)
    assert refused.value.challenge == "invalid_bearer_token"


def test_forged_server_token() -> None:
    """A server token under another key is refused."""
    with pytest.raises(PeerRefused) as refused:
        read_server_token(SERVER_TOKENS["127.0.0.1:21501"], JOB_KEY)
    assert refused.value.challenge == "invalid_bearer_token"


def test_claimed_server() -> None:
    """A build server reads for whom its token was made, without the key."""
    for text, token in SERVER_TOKENS.items():
        assert str(claimed_server(token)) == text
    with pytest.raises(PeerRefused):
        claimed_server("signed")


@given(st.text() | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*"))
def test_any_text(token: str) -> None:
    """No text but a token passes, and none raises anything but a refusal."""
    with pytest.raises(PeerRefused):
        check_job_token(token, JOB_KEY, JobId(0))
    with pytest.raises(PeerRefused):
        read_server_token(token, JOB_KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        SECRET_KEY + "=",
        SECRET_KEY + " ",
        SECRET_KEY + "\n",
        "+" + SECRET_KEY[1:],
        "ä" + SECRET_KEY[1:],
        SECRET_KEY[:-1],
        SECRET_KEY[:-1] + "9",
        SECRET_KEY + "AA",
    ],
)
def test_bad_secret_key(text: str) -> None:
    """A secret key that the published program would not take is refused, and not quoted."""
    with pytest.raises(DecodeError) as refused:
        decode_secret_key(text)
    assert SECRET_KEY[1:20] not in str(refused.value)


@pytest.mark.parametrize("grant", [Grant(GCC), Grant(GCC, 0), Grant(GCC, 1_700_000_000), Grant(GCC, 1, "client")])
def test_job_token_with_a_toolchain(grant: Grant) -> None:
    """A token of our own scheduler names the toolchain too, says when it was issued and for whom, and is read."""
    token = job_token(JOB_KEY, JobId(5), grant.toolchain, issued=grant.issued, client=grant.client)
    assert check_job_token(token, JOB_KEY, JobId(5)) == grant
    assert check_job_token(job_token(JOB_KEY, JobId(5)), JOB_KEY, JobId(5)) is None
    with pytest.raises(PeerRefused):
        check_job_token(token, JOB_KEY, JobId(6))
    with pytest.raises(StaleToken):
        check_job_token(token, KEY, JobId(5))


@pytest.mark.parametrize(
    "claims",
    [
        {"toolchain": "/etc/passwd"},
        *({"toolchain": text} for text in ("", "x", "../" * 21 + "x", "0C" * 32, 7, None, ["0c" * 32])),
        {"toolchain": GCC, "iat": -1},
        {"toolchain": GCC, "iat": 1.0},
        {"toolchain": GCC, "iat": True},
        {"toolchain": GCC, "iat": None},
        {"toolchain": GCC, "iat": 1 << 63},
        {"toolchain": GCC, "client": 1},
        {"toolchain": GCC, "client": None},
        {"toolchain": GCC, "sub": "x"},
        {"iat": 1},
        {"client": "x"},
    ],
)
def test_claims_that_are_none(claims: dict[str, object]) -> None:
    """What our own scheduler adds is taken in its one form, and nothing else."""
    with pytest.raises(PeerRefused):
        check_job_token(forge({"exp": 0, "job_id": 5} | claims), JOB_KEY, JobId(5))
