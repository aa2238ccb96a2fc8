"""Which proxy a URL is asked through, as the environment says: a pure function of it.

The rules are those of the published scheduler's HTTP client, as its 0.16.0 shows them from outside: the variables and
their precedence, what a value may look like, and what NO_PROXY means. How a proxy is spoken to is not known here.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import unquote_to_bytes, urlsplit

import attrs

_Network = IPv4Network | IPv6Network

_PORTS = {"http": 80, "https": 443}
#: Proxies of another kind. A call goes through none of them, but not around them either.
_SOCKS = ("socks4", "socks4a", "socks5", "socks5h")
_VALUE = re.compile(r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?P<authority>[!-~]+?)(?P<rest>[/?#][!-~]*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]@:/?#]+)(?::(?P<port>[0-9]*))?")
#: A set variable of these means that HTTP_PROXY may be the header "Proxy:" of a stranger's request to a CGI program.
_CGI = "REQUEST_METHOD"


@attrs.frozen
class Proxy:
    """A proxy; as text it has no password.

    :param host: a name or an IP address, an IPv6 one without brackets.
    :param authorization: the value of ``Proxy-Authorization``.
    """

    scheme: str
    host: str
    port: int
    authorization: bytes | None = attrs.field(default=None, repr=False)

    @property
    def usable(self) -> bool:
        """Whether it is one that calls can go through."""
        return self.scheme in _PORTS

    def __str__(self) -> str:
        """Its URL."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@attrs.frozen
class Proxies:
    """The proxies of an environment.

    :param http: for URLs of ``http``, and ``https`` for those.
    :param domains: those of NO_PROXY, as they stand there.
    :param networks: its addresses and networks.
    :param ignored: the variables whose values are no proxy.
    """

    http: Proxy | None = None
    https: Proxy | None = None
    domains: Sequence[str] = ()
    networks: Sequence[_Network] = ()
    ignored: Sequence[str] = ()

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> "Proxies":
        """Read the variables. An upper-case name goes before its lower-case one, even if it is empty."""
        if _CGI in environment:
            return cls()
        names = [_first(environment, f"{kind}_PROXY") for kind in ("HTTP", "HTTPS", "ALL")]
        http, https, others = (read_proxy(environment[name]) if name else None for name in names)
        excepted = _first(environment, "NO_PROXY")
        entries = [entry.strip() for entry in (environment[excepted] if excepted else "").split(",")]
        read = [(entry, _network(entry)) for entry in entries if entry]
        return cls(
            http or others,
            https or others,
            [entry for entry, network in read if network is None],
            [network for _, network in read if network is not None],
            [name for name in names if name and environment[name] and read_proxy(environment[name]) is None],
        )

    def of(self, url: str) -> Proxy | None:
        """The proxy for a URL, None if its host is asked without one."""
        split = urlsplit(url)
        proxy = self.http if split.scheme == "http" else self.https
        return None if proxy is None or self._excepts(split.hostname or "") else proxy

    def _excepts(self, host: str) -> bool:
        """Whether NO_PROXY has a host; an address is only in networks, and ``*`` is every name."""
        try:
            address = ip_address(host)
        except ValueError:
            return any(entry == "*" or f".{host}".endswith(f".{entry.removeprefix('.')}") for entry in self.domains)
        return any(address in network for network in self.networks)


def read_proxy(value: str) -> Proxy | None:
    """The proxy that the value of a variable names, None if it is no such thing: ``[SCHEME://][USER:PASSWORD@]HOST[:PORT]``.

    A path is allowed and means nothing; so does a port that is none.
    """
    match = _VALUE.fullmatch(value)
    if match is None or (match["scheme"] is None and match["rest"]):
        return None
    scheme = (match["scheme"] or "http").lower()
    user, at, address = match["authority"].rpartition("@")
    place = _AUTHORITY.fullmatch(address)
    if scheme not in (*_PORTS, *_SOCKS) or place is None or (at and (":" not in user or "@" in user)):
        return None
    port = int(place["port"]) if place["port"] and len(place["port"]) < 6 else 0
    return Proxy(
        scheme,
        place["host"].strip("[]"),
        port if 0 < port < 1 << 16 else _PORTS.get(scheme, 1080),
        _basic(user) if at else None,
    )


def _basic(user: str) -> bytes:
    name, _, password = user.partition(":")
    return b"Basic " + base64.b64encode(unquote_to_bytes(name) + b":" + unquote_to_bytes(password))


def _first(environment: Mapping[str, str], name: str) -> str | None:
    return next((each for each in (name, name.lower()) if each in environment), None)


def _network(entry: str) -> _Network | None:
    _, slash, bits = entry.partition("/")
    try:
        return ip_network(entry, strict=False) if not slash or bits.isdigit() else None
    except ValueError:
        return None
