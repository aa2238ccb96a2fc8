"""Where an answer sends its caller on to, and what may be taken there: pure.

The rules are those of the published scheduler's HTTP client.
"""

from urllib.parse import SplitResult, urljoin, urlsplit

from sccachedist.errors import PeerError

#: The most redirects that one call follows.
MOST_REDIRECTS = 10

_STATUSES = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}


def redirected(url: str, status: int, location: str | None) -> str | None:
    """The URL to ask in the place of ``url``, None if the answer sends nowhere: it is then the answer.

    :raises PeerError: it sends to what is neither ``http`` nor ``https``.
    """
    if status not in _STATUSES or location is None or not (location.isascii() and location.isprintable()):
        return None
    if " " in location:
        return None
    try:
        split = urlsplit(urljoin(url, location))
        _ = split.port
    except ValueError:
        return None
    if split.scheme not in _PORTS or not split.hostname:
        raise PeerError(f"it sends to {split.scheme}, not to http or https")
    return split._replace(netloc=split.netloc.rpartition("@")[2], fragment="").geturl()


def same_peer(one: str, other: str) -> bool:
    """Whether two URLs are of one scheme, host and port: then a token for one may be shown to the other."""
    return _peer(urlsplit(one)) == _peer(urlsplit(other))


def _peer(split: SplitResult) -> tuple[str, str | None, int | None]:
    return split.scheme, split.hostname, split.port or _PORTS.get(split.scheme)
