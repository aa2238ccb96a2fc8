"""The names of toolchains: the digest of the archive as it is sent. It knows nothing of files."""

import hashlib
import re
from typing import NewType, Protocol

from blake3 import blake3

from sccachedist.errors import DecodeError

#: 64 or 128 lower-case hexadecimal digits, so it is safe as a file name.
ArchiveId = NewType("ArchiveId", str)
#: That of nothing that was ever packed.
NO_TOOLCHAIN = ArchiveId("0" * 64)

_FORM = re.compile(r"[0-9a-f]{64}|[0-9a-f]{128}")


class Digest(Protocol):
    """A hash that takes its input piece by piece."""

    def update(self, data: bytes, /) -> object:
        """Take the next piece."""

    def digest(self) -> bytes:
        """The digest of all pieces so far."""


def archive_id(text: str) -> ArchiveId:
    """Check what a peer calls an archive id, before it may become part of a path.

    :raises DecodeError: it is not one.
    """
    if not _FORM.fullmatch(text):
        raise DecodeError("an archive id is 64 or 128 hexadecimal digits")
    return ArchiveId(text)


def swapped_hex(digest: bytes) -> ArchiveId:
    """The archive id of a digest: the low digit of each byte comes first, see "Bytes" in ``doc/protocol``."""
    return ArchiveId("".join(f"{byte & 15:x}{byte >> 4:x}" for byte in digest))


def toolchain_digest(toolchain: ArchiveId) -> Digest:
    """A fresh hash of the kind that made an archive id: BLAKE3, or SHA-512 up to release 0.2.13."""
    return blake3() if len(toolchain) == 64 else hashlib.sha512()
