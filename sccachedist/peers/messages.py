"""Reads the message in a peer's answer. It does not know what was asked."""

from typing import TypeVar

from sccachedist.errors import DecodeError, PeerError
from sccachedist.wire.bincode import Codec, decode

T = TypeVar("T")


def decoded(codec: Codec[T], octets: bytes) -> T:
    """The message in an answer.

    :raises PeerError: the octets are not what the protocol says.
    """
    try:
        return decode(codec, octets)
    except DecodeError as error:
        raise PeerError(f"it answered what the protocol does not know: {error}") from error
