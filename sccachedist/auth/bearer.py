"""Bearer tokens from an ``Authorization`` header, and the address of their sender.

Which tokens are good is not known here.
"""

import hmac
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from sccachedist.errors import DecodeError

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


def bearer_token(authorization: str | None) -> str | None:
    """The token of an ``Authorization: Bearer`` header, or None if there is none."""
    scheme, _, token = (authorization or "").partition(" ")
    return token if scheme == "Bearer" and token else None


def same_secret(given: str, expected: str) -> bool:
    """Compare two secrets in a time that does not tell how much of them is equal."""
    return hmac.compare_digest(given.encode(), expected.encode())


def sender_address(peer: str, real_ip: str | None, trusted_proxies: Sequence[IPNetwork]) -> IPAddress:
    """The address that a request comes from: the peer's, or the one in ``X-Real-IP`` if the peer is a trusted proxy.

    :raises DecodeError: a trusted proxy sent something that is not an address.
    """
    address = plain_address(peer)
    if real_ip is None or not any(address in network for network in trusted_proxies):
        return address
    try:
        return plain_address(real_ip)
    except ValueError as error:
        raise DecodeError("X-Real-IP is not an IP address") from error


def client_address(peer: str, real_ip: str | None, trusted_proxies: Sequence[IPNetwork]) -> IPAddress:
    """The same for a client. If a proxy names none, the proxy's own: a refusal would fail the client's build."""
    try:
        return sender_address(peer, real_ip, trusted_proxies)
    except DecodeError:
        return sender_address(peer, None, trusted_proxies)


def plain_address(text: str) -> IPAddress:
    """An address as people write it: an IPv4 address that came through an IPv6 socket becomes plain IPv4."""
    return _address(text.partition("%")[0])


@lru_cache(1 << 13)  # the same ones ask all the time, and parsing costs a tenth of a small request
def _address(text: str) -> IPAddress:
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def neighbourhood(address: IPAddress) -> str:
    """The network whose requests count together: one IPv4 address, or the /64 of an IPv6 address.

    An IPv6 host has a network of 2^64 addresses for itself, and may send from any of them.
    """
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, 64), strict=False))


@lru_cache(4096)
def crowd_of(host: str) -> str:
    """The neighbourhood of the peer at the other end of a connection, by its address as text."""
    return neighbourhood(plain_address(host))
