"""What a head says of its sender, and what of it is believed because a trusted proxy stands in between. Pure."""

from collections.abc import Sequence

import attrs

from sccachedist.auth.bearer import IPAddress, IPNetwork, client_address, plain_address
from sccachedist.web.request_head import Head


@attrs.define(eq=False)
class ProxiedHeads:
    """Reads heads.

    :param tls: whether connections come over TLS.
    :param proxies: those whose headers are believed.
    :param user_header: the name of the header in which they name a user, in lower case.
    """

    _tls: bool
    proxies: Sequence[IPNetwork]
    user_header: str | None = None

    def sender(self, head: Head) -> IPAddress:
        """The address that a request comes from."""
        return client_address(head.peer, head.headers.get("x-real-ip"), self.proxies)

    def is_proxy(self, head: Head) -> bool:
        """Whether a trusted proxy is at the other end of the connection."""
        address = plain_address(head.peer)
        return any(address in network for network in self.proxies)

    def forwarded(self, head: Head) -> str | None:
        """By which scheme a proxy was asked, in lower case, if it says so; empty if it says so twice."""
        said = single(head, "x-forwarded-proto") if self.is_proxy(head) else None
        return None if said is None else said.lower()


def single(head: Head, name: str) -> str | None:
    """The value of a header; empty if it came twice, for one of them may be a stranger's."""
    return "" if name in head.repeated else head.headers.get(name)
