"""What may stand in the URL of a service and in the header that shows it a token. It does not know who asks whom.

What is accepted follows ``sccache-dist`` 0.16.0, as found by running it.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

#: An IPv6 address, or else a name or an IPv4 address without the characters that no host has; then the port.
_HOST_AND_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:@<>^|%\\]+))(?::[0-9]+)?")


def plain_text(text: str) -> str:
    """The text itself.

    :raises ValueError: it has a NUL, or is not to be written in UTF-8.
    """
    if "\0" in text:
        raise ValueError
    text.encode()  # raises at half a surrogate pair, which JSON can write and UTF-8 cannot
    return text


def split_url(text: str) -> SplitResult:
    """An http or https URL without a user name and password, because the repr of settings may show it.

    :raises ValueError: it is none.
    """
    url = urlsplit(plain_text(text))
    place = _HOST_AND_PORT.fullmatch(url.netloc)
    if url.scheme not in ("http", "https") or not place or url.port == 0 or re.search(r"[\x00-\x20\x7f]", text):
        raise ValueError
    _check_host(*place.groups())
    return url


def header_token(text: str) -> str:
    """A token for a header, which strips blanks at both ends. An empty token would protect nothing.

    :raises ValueError: it does not fit into one.
    """
    if not text or text != text.strip() or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
        raise ValueError
    return plain_text(text)


def _check_host(v6: str | None, other: str) -> None:
    """Check an address. A host that ends in a number is meant as an IPv4 address: mistyped, it is no name instead."""
    if v6:
        IPv6Address(v6)
    elif other.rpartition(".")[2].isdigit():
        IPv4Address(other)
