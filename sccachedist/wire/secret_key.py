"""The text of a key that signs tokens. It does not know how one signs, so that a configuration is read without that."""

import base64

from sccachedist.errors import DecodeError

#: Bytes of a scheduler's ``secret_key`` and of a build server's job key.
KEY_SIZE = 32


def decode_secret_key(text: str) -> bytes:
    """A ``secret_key`` from its text: unpadded base64url of 32 bytes, in its one canonical form.

    :raises DecodeError: the text is something else; the error does not quote it.
    """
    try:
        key = base64.urlsafe_b64decode(f"{text}=")
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE or base64.urlsafe_b64encode(key).decode() != f"{text}=":
        raise DecodeError(f"a secret key is the unpadded base64url of {KEY_SIZE} bytes")
    return key
