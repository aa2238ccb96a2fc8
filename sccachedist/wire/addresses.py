"""The address by which a build server is known. It does not know whether a server answers there."""

import re
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address

import attrs

from sccachedist.errors import DecodeError
from sccachedist.wire.bincode import U16, U32, Json, Reader

# As Rust's SocketAddr reads it, but without scope ids (`%2`): its bytes lose them, and no farm can use them.
_FORM = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):0*([0-9]{1,5})")


def _order(host: IPv4Address | IPv6Address) -> tuple[int, bytes]:
    """A key that lets addresses of both versions be sorted together."""
    return host.version, host.packed


@attrs.frozen(order=True, cache_hash=True)
class ServerId:
    """A build server, named by the address and port at which clients reach it.

    Its text is ``127.0.0.1:10501`` or ``[::1]:10501``, as the Rust programs write it.
    """

    host: IPv4Address | IPv6Address = attrs.field(order=_order)
    port: int

    @classmethod
    def parse(cls, text: str) -> "ServerId":
        """Read the text of an address.

        :raises DecodeError: it is not an IP address with a port from 0 to 65535.
        """
        form = _FORM.fullmatch(text)
        if form is None or int(form[3]) > 0xFFFF:
            raise DecodeError(f"not an IP address and port: {text!r}")
        try:
            return cls(IPv6Address(form[1]) if form[1] else IPv4Address(form[2]), int(form[3]))
        except ValueError as error:
            raise DecodeError(f"not an IP address and port: {text!r}") from error

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        if isinstance(self.host, IPv4Address):
            return f"{self.host}:{self.port}"
        mapped = self.host.ipv4_mapped
        return f"[::ffff:{mapped}]:{self.port}" if mapped else f"[{self.host}]:{self.port}"


class _ServerIdCodec:
    """A ``SocketAddr``: variant 0 with 4 octets or variant 1 with 16, then the port. In JSON, its text."""

    def write(self, value: ServerId, out: bytearray) -> None:
        U32.write(0 if value.host.version == 4 else 1, out)
        out += value.host.packed
        U16.write(value.port, out)

    def read(self, source: Reader) -> ServerId:
        variant = U32.read(source)
        if variant > 1:
            raise DecodeError(f"there is no variant {variant} of an address")
        host = IPv6Address(source.take(16)) if variant else IPv4Address(source.take(4))
        return ServerId(host, U16.read(source))

    def to_json(self, value: ServerId) -> Json:
        return str(value)


SERVER_ID = _ServerIdCodec()
