"""Where a toolchain is, in bytes; and the tokens that open it there."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.errors import DecodeError, PeerRefused
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.holders import HOLDERS, MOST_HOLDERS, POPULAR, Holders, Popular, ToolchainHolder
from sccachedist.wire.messages import JobId
from sccachedist.wire.tokens import check_job_token, check_toolchain_token, job_token, toolchain_token
from tests.wire.test_tokens import GCC, JOB_KEY, forge

HOLDER = ToolchainHolder(ServerId.parse("127.0.0.1:10501"), bytes(32), "token")
CLANG = ArchiveId("c1" * 32)


@pytest.mark.parametrize(
    ("value", "octets"),
    [
        (Holders(), "0000000000000000 00"),
        (Holders(coming=True), "0000000000000000 01"),
        (
            Holders((HOLDER,)),
            "0100000000000000 00000000 7f000001 0529 2000000000000000" + "00" * 32 + "0500000000000000 746f6b656e 00",
        ),
    ],
)
def test_bytes(value: Holders, octets: str) -> None:
    """An answer's bytes, each way."""
    whole = bytes.fromhex(octets)
    assert encode(HOLDERS, value) == whole
    assert decode(HOLDERS, whole) == value
    for end in range(len(whole)):
        with pytest.raises(DecodeError):
            decode(HOLDERS, whole[:end])


@given(st.binary(max_size=200))
def test_any_bytes(octets: bytes) -> None:
    """No bytes do worse than not being an answer."""
    try:
        decode(HOLDERS, octets)
    except DecodeError:
        return


def test_too_many() -> None:
    """A scheduler that names a crowd is not believed."""
    with pytest.raises(DecodeError):
        decode(HOLDERS, encode(HOLDERS, Holders((HOLDER,) * MOST_HOLDERS)).replace(b"\x08", b"\x09", 1))


def test_popular() -> None:
    """The toolchains that are needed most, in bytes."""
    octets = bytes.fromhex("0100000000000000 0300000000000000 676363 0700000000000000")
    assert encode(POPULAR, (Popular("gcc", 7),)) == octets
    assert decode(POPULAR, octets) == (Popular("gcc", 7),)


def test_token_is_no_secret_of_a_repr() -> None:
    """A log of holders opens nothing."""
    assert "token" not in repr(attrs.evolve(HOLDER, token="a token"))


def test_token_opens_one_toolchain() -> None:
    """A token of a toolchain opens that one, at the server whose key has signed it."""
    token = toolchain_token(JOB_KEY, GCC, 17)
    assert check_toolchain_token(token, JOB_KEY, GCC) == 17
    for other, key, toolchain in (
        (token, JOB_KEY, CLANG),
        (token, b"another key", GCC),
        (job_token(JOB_KEY, JobId(7), GCC, issued=17), JOB_KEY, GCC),
        (job_token(JOB_KEY, JobId(7)), JOB_KEY, GCC),
        (forge({"exp": 0, "fetch": GCC, "iat": 17, "job_id": 7}), JOB_KEY, GCC),
        (forge({"exp": 0, "fetch": GCC, "iat": 17.0}), JOB_KEY, GCC),
        (forge({"exp": 0, "fetch": GCC, "iat": True}), JOB_KEY, GCC),
        (forge({"exp": False, "fetch": GCC, "iat": 17}), JOB_KEY, GCC),
        (forge({"exp": 0, "fetch": GCC}), JOB_KEY, GCC),
        (forge([GCC]), JOB_KEY, GCC),
        ("nonsense", JOB_KEY, GCC),
    ):
        with pytest.raises(PeerRefused):
            check_toolchain_token(other, key, toolchain)


def test_toolchain_token_opens_no_job() -> None:
    """Nor is it a job's."""
    with pytest.raises(PeerRefused):
        check_job_token(toolchain_token(JOB_KEY, GCC, 17), JOB_KEY, JobId(7))
