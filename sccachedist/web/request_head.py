"""What is known of a request when its headers are there: all that may decide whether its body is read."""

import hashlib
from functools import lru_cache

import attrs

from sccachedist.auth.bearer import bearer_token, crowd_of
from sccachedist.budgets import Party

#: The most characters of a token whose sender is remembered: strangers can show long ones.
_REMEMBERED = 1000


@attrs.frozen
class Head:
    """Method, path and headers of a request.

    :param headers: the first value of each header, by its name in lower case.
    :param peer: the IP address at the other end of the connection.
    :param length: the announced size of the body in bytes; None if it comes in chunks.
    :param repeated: the names of headers that came more than once.
    :param query: what stands behind the ``?``, as it came.
    """

    method: str
    path: str
    headers: dict[str, str] = attrs.field(repr=False)
    peer: str
    length: int | None
    repeated: tuple[str, ...] = ()
    query: str = attrs.field(default="", repr=False)

    @property
    def token(self) -> str | None:
        """The bearer token, if there is one."""
        return bearer_token(self.headers.get("authorization"))

    @property
    def size(self) -> int:
        """About how many bytes it has, beside the path."""
        return len(self.query) + sum(len(name) + len(value) for name, value in self.headers.items())

    @property
    def sender(self) -> Party:
        """The party that shares memory with others before its token is checked: the token at the address.

        All of an IPv6 /64 is one address.
        """
        token = self.token or ""
        return (_sender if len(token) <= _REMEMBERED else _sender.__wrapped__)(token, self.peer)

    def decided(self) -> "Head":
        """The same without headers: once it is decided on, thousands of requests may wait for their bodies."""
        return Head(self.method, self.path, {}, self.peer, self.length)


@lru_cache(1 << 10)  # a build server shows one token for all its requests, and a client for each job that it asks for
def _sender(token: str, peer: str) -> Party:
    return Party(f"{hashlib.sha256(token.encode()).hexdigest()[:16]}@{crowd_of(peer)}")
