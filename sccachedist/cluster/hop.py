"""What of a request's head goes on to the scheduler that leads, and what of its answer comes back. Pure.

A leader believes what other schedulers say of a sender, as it believes trusted proxies. So a follower says no more than
it believes itself, and passes on those headers alone that a route may read: one that a stranger has made up never
becomes the word of a scheduler. Of an answer, those headers come back alone that a route gives.
"""

from collections.abc import Iterable, Sequence

import attrs

from sccachedist.web.proxied_heads import ProxiedHeads, single
from sccachedist.web.request_head import Head
from sccachedist.web.responses import UnknownRoute

#: The header of a request that another scheduler has passed on: it goes no further. What it says if that one follows,
#: and if it leads and has answered the request itself.
PASSED_ON = "x-sccachedist-passed-on"
FOR_ANSWER, FOR_INFORMATION = "1", "told"
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
#: What a route says of its answer.
ANSWERED = ("cache-control", "content-encoding", "content-type", "retry-after", "www-authenticate", "x-accel-buffering")


@attrs.define(eq=False)
class Hop(ProxiedHeads):
    """The way from one scheduler to another."""

    def outward(self, head: Head, mark: str = FOR_ANSWER) -> list[tuple[str, str]]:
        """The headers with which a request is passed on."""
        names = [*READ, *([self.user_header] if self.user_header is not None and self.is_proxy(head) else [])]
        # Of two, a route may not know which one counts; it does not ask for either then.
        headers = [(name, single(head, name) or "") for name in names if name in head.headers]
        scheme = None if "x-forwarded-proto" in head.repeated else self.forwarded(head)
        if scheme is None:
            scheme = "https" if self._tls else "http"
        return [*headers, ("x-real-ip", str(self.sender(head))), ("x-forwarded-proto", scheme), (PASSED_ON, mark)]


def target(head: Head) -> str:
    """The path and query with which a request is passed on. Behind a leader's URL, they mean what they mean here.

    :raises UnknownRoute: they would be part of its host or port.
    """
    if not head.path.startswith("/"):
        raise UnknownRoute(head.path)
    said = f"{head.path}?{head.query}" if head.query else head.path
    return said.replace("#", "%23")


def inward(headers: Iterable[tuple[bytes, Sequence[bytes]]]) -> tuple[tuple[str, str], ...]:
    """The headers with which an answer comes back.

    :param headers: as Twisted has them: each name with its values.
    """
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, values in headers
        for value in values
        if name.lower().decode("latin-1") in ANSWERED
    )
