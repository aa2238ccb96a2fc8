"""What of a request's head goes on to the scheduler that leads, and what of its answer comes back. Pure.

A leader believes what other schedulers say of a sender, as it believes trusted proxies. So a follower says no more than
it believes itself, and passes on those headers alone that a route may read: one that a stranger has made up never
becomes the word of a scheduler.
"""

from collections.abc import Iterable, Sequence

import attrs

from sccachedist.auth.bearer import IPNetwork, client_address, plain_address
from sccachedist.web.request_head import Head
from sccachedist.web.responses import FOLLOWS

#: The header of a request that another scheduler has passed on: it goes no further.
PASSED_ON = "x-sccachedist-passed-on"
#: What a route reads of a sender's own headers.
READ = (
    "accept",
    "authorization",
    "content-type",
    "cookie",
    "host",
    "last-event-id",
    "origin",
    "sec-fetch-site",
)
#: What a follower says of the sender.
SAID = ("x-real-ip", "x-forwarded-proto")
#: What each side of a connection says for itself.
_OF_ONE_CONNECTION = frozenset(
    (FOLLOWS[0].lower(), "connection", "content-length", "date", "keep-alive", "server", "transfer-encoding")
)


@attrs.define(eq=False)
class Hop:
    """The way from a follower to its leader.

    :param tls: whether connections come over TLS.
    :param proxies: those whose headers are believed.
    :param user_header: the name of the header in which they name a user, in lower case.
    """

    _tls: bool
    proxies: Sequence[IPNetwork]
    user_header: str | None = None

    def outward(self, head: Head) -> list[tuple[str, str]]:
        """The headers with which a request is passed on."""
        is_proxy = any(plain_address(head.peer) in network for network in self.proxies)
        names = [*READ, *([self.user_header] if is_proxy and self.user_header is not None else [])]
        # Of two, a route may not know which one counts; it does not ask for either then.
        headers = [
            (name, "" if name in head.repeated else head.headers[name]) for name in names if name in head.headers
        ]
        said = head.headers.get("x-forwarded-proto") if is_proxy and "x-forwarded-proto" not in head.repeated else None
        scheme = said if said is not None else "https" if self._tls else "http"
        address = client_address(head.peer, head.headers.get("x-real-ip"), self.proxies)
        return [*headers, ("x-real-ip", str(address)), ("x-forwarded-proto", scheme), (PASSED_ON, "1")]


def inward(headers: Iterable[tuple[bytes, Sequence[bytes]]]) -> tuple[tuple[str, str], ...]:
    """The headers with which an answer comes back.

    :param headers: as Twisted has them: each name with its values.
    """
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, values in headers
        for value in values
        if name.lower().decode("latin-1") not in _OF_ONE_CONNECTION
    )
