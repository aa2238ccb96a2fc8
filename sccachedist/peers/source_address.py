"""From which of this host's addresses a call leaves.

A scheduler takes a build server's word only from the address in its token, and the kernel of a host with several
addresses may choose another one. This module does not know what is called.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

#: Any port: nothing is sent there.
_PORT = 9


def source_address(
    public: IPv4Address | IPv6Address, chosen: IPv4Address | IPv6Address | None
) -> IPv4Address | IPv6Address | None:
    """The address to send from; None if the kernel chooses it.

    :param public: used if it is one of this host's now. Behind address translation it is not.
    :param chosen: used in its place; an unspecified address (``0.0.0.0``, ``::``) leaves the choice to the kernel.
    """
    if chosen is not None:
        return None if chosen.is_unspecified else chosen
    return public if is_own(public) else None


def binding(source: IPv4Address | IPv6Address | None, host: str) -> tuple[str, int] | None:
    """What a socket is bound to that connects to a host from an address; None if that is not to be.

    :param host: a name, or an IP address: one of the other version is not reached from ``source``.
    """
    try:
        is_fit = source is not None and ip_address(host.partition("%")[0]).version == source.version
    except ValueError:
        is_fit = source is not None
    return (str(source), 0) if is_fit else None


def is_own(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of this host's, so that a socket can be bound to it.

    Where a host lets sockets be bound to any address, it is known of the first address in each network only.
    """
    if address.is_unspecified:
        return False
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            if not _binds_to_any(address.version):
                probe.bind((str(address), 0))
                return True
            probe.connect((str(address), _PORT))
            return ip_address(probe.getsockname()[0]) == address
    except OSError:
        return False


def _binds_to_any(version: int) -> bool:
    try:
        return Path(f"/proc/sys/net/ipv{version}/ip_nonlocal_bind").read_text().strip() != "0"
    except OSError:
        return False
