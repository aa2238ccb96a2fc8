"""Bearer tokens as they come in an ``Authorization`` header."""

import hmac
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from sccachedist.errors import DecodeError

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


def bearer_token(authorization: str | None) -> str | None:
    """The token of an ``Authorization: Bearer`` header, or None where there is none."""
    scheme, _, token = (authorization or "").partition(" ")
    return token if scheme == "Bearer" and token else None


def same_secret(given: str, expected: str) -> bool:
    """Compare two secrets in a time that does not tell how much of them is equal."""
    return hmac.compare_digest(given.encode(), expected.encode())


def sender_address(peer: str, real_ip: str | None, trusted_proxies: Sequence[IPNetwork]) -> IPAddress:
    """The address that a request comes from: what ``X-Real-IP`` says where a trusted proxy says so, else the peer's.

    :raises DecodeError: a trusted proxy names something that is not an address.
    """
    address = plain_address(peer)
    if real_ip is None or not any(address in network for network in trusted_proxies):
        return address
    try:
        return plain_address(real_ip)
    except ValueError as error:
        raise DecodeError("X-Real-IP is not an IP address") from error


def plain_address(text: str) -> IPAddress:
    """An address as people write it: an IPv4 one that came through an IPv6 socket is an IPv4 one."""
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def neighbourhood(address: IPAddress) -> str:
    """The address whose requests count together: an IPv4 one, and the first half of an IPv6 one.

    A host of IPv6 has a network of 2^64 addresses for itself, and may send from any of them.
    """
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, 64), strict=False))
