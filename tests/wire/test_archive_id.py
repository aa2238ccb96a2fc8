"""The names of toolchains."""

import hashlib

import pytest
from blake3 import blake3

from sccachedist.errors import DecodeError
from sccachedist.wire.archive_id import archive_id, swapped_hex, toolchain_digest


def test_digits_are_swapped() -> None:
    """The low digit of each byte comes first, as in the published clients' names."""
    assert swapped_hex(bytes.fromhex("face01")) == "afec10"


@pytest.mark.parametrize("size", [64, 128])
def test_good(size: int) -> None:
    """Digests of today's and of the oldest clients are good names."""
    assert archive_id("0a" * (size // 2)) == "0a" * (size // 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0a",
        "0" * 63,
        "0" * 65,
        "0" * 127,
        "0" * 129,
        "A" * 64,
        "g" * 64,
        "\u0660" * 64,
        "0" * 64 + "\n",
        "../" * 21 + "x",
    ],
)
def test_bad(text: str) -> None:
    """Nothing else may become a part of a path (rows 1 and 2 of the threats)."""
    with pytest.raises(DecodeError):
        archive_id(text)


@pytest.mark.parametrize(
    ("size", "expected"), [(64, blake3(b"archive").digest()), (128, hashlib.sha512(b"archive").digest())]
)
def test_digest_of_the_right_kind(size: int, expected: bytes) -> None:
    """A name's length tells with which hash its archive is checked."""
    digest = toolchain_digest(archive_id("0" * size))
    for piece in (b"arch", b"ive"):
        digest.update(piece)
    assert digest.digest() == expected
    assert archive_id(swapped_hex(expected)) == swapped_hex(expected)
