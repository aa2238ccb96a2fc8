"""The table of the configuration by which several schedulers of one farm agree on who decides.

This module does not know how the scheduler uses a setting, nor how one talks to a store.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import unquote

from attrs import evolve, field, frozen

from sccachedist.config.schema import ListOf, Value, key
from sccachedist.config.values import ORIGIN, PATH, TOKEN, between
from sccachedist.errors import ConfigError
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.http_texts import plain_text, split_url

_PORT, _SENTINEL_PORT = 6379, 26379
_URL = re.compile(
    r"(?P<scheme>redis|rediss|redis\+sentinel)://(?:(?P<user>[^\s\x00-\x1f\x7f:@/?#]+)@)?"
    r"(?P<places>[^\s\x00-\x1f\x7f@/?#]+)(?:/(?P<path>[^\s\x00-\x1f\x7f?#]*))?"
)
#: A name, an IPv4 address, or an IPv6 address in brackets; then the port.
_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")


@frozen
class StoreAddress:
    """Where a Redis or Valkey is.

    :param places: host and port of it, or of each Sentinel that knows where it is.
    :param master: the name by which Sentinels know it; None if there are none.
    :param user: None for the default one.
    """

    url: str
    places: tuple[tuple[str, int], ...]
    is_tls: bool
    master: str | None
    user: str | None
    database: int

    def __str__(self) -> str:
        return self.url

    @classmethod
    def parse(cls, text: str) -> "StoreAddress":
        """What a URL says.

        :raises ValueError: it is none of those that are expected; a password in it is one reason.
        """
        url = _URL.fullmatch(plain_text(text))
        if url is None:
            raise ValueError
        with_sentinel = url["scheme"] == "redis+sentinel"
        default = _SENTINEL_PORT if with_sentinel else _PORT
        places = tuple(_place(place, default) for place in url["places"].split(","))
        path = url["path"] or ""
        master, _, database = path.partition("/") if with_sentinel else ("", "", path)
        if with_sentinel != bool(master) or (len(places) > 1 and not with_sentinel):
            raise ValueError
        number = _number(0, 9999, database) if database else 0
        user = unquote(url["user"] or "")
        return cls(text, places, url["scheme"] == "rediss", unquote(master) or None, user or None, number)


def _place(text: str, port: int) -> tuple[str, int]:
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ValueError
    v6, other, given = found.groups()
    return str(IPv6Address(v6)) if v6 else other, _number(1, 65535, given) if given else port


def _number(least: int, most: int, text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else -1
    if not least <= number <= most:
        raise ValueError
    return number


STORE = Value(
    str,
    "redis://HOST:PORT, rediss://HOST:PORT or redis+sentinel://HOST:PORT,HOST:PORT/NAME, without a password",
    StoreAddress.parse,
)
TTL = Value(int, "a whole number of seconds, 1 to 60", partial(between, 1, 60))


@frozen
class ClusterSettings:
    """Several schedulers of one farm, which elect the one that decides; the others pass on what they are asked."""

    lock: StoreAddress = field(
        metadata=key(
            STORE,
            "The Redis or Valkey that has the lock of the one that decides: ``rediss`` is by TLS, ``redis+sentinel`` "
            "names Sentinels and their name for it. Behind a further ``/``, the number of a database: each farm "
            "needs one of its own. A user's name stands before the host, as ``USER@``.",
        ),
    )
    schedulers: tuple[str, ...] = field(
        metadata=key(ListOf(ORIGIN, least=1), "The URLs at which all schedulers reach each other, this one's included.")
    )
    address: str | None = field(
        default=None,
        metadata=key(
            ORIGIN,
            "This scheduler's own URL among them; by default, that of ``public_addr``, ``https`` with ``[tls]``.",
        ),
    )
    ttl_secs: int = field(
        default=3,
        metadata=key(TTL, "How many seconds after its last sign of life another scheduler takes over."),
    )
    lock_password: str | None = field(
        default=None, repr=False, metadata=key(TOKEN, "The password of the store, if it asks for one.")
    )
    lock_ca: Path | None = field(
        default=None,
        metadata=key(
            PATH, "The authorities that sign the store's certificate, PEM; by default, those that this host trusts."
        ),
    )


def own_url(public_addr: ServerId, *, has_tls: bool) -> str:
    """The URL at which a scheduler is reached, if nothing else is said."""
    return f"{'https' if has_tls else 'http'}://{public_addr}"


def with_address(settings: ClusterSettings, public_addr: ServerId, *, has_tls: bool) -> ClusterSettings:
    """The same with this scheduler's own address among all.

    :raises ConfigError: it is not among them; it names the key.
    """
    address = settings.address or own_url(public_addr, has_tls=has_tls)
    if address not in settings.schedulers:
        raise ConfigError(f"cluster.schedulers: {address}, this one's address, is not among them")
    return evolve(settings, address=address)


def hosts_of(settings: ClusterSettings) -> Iterator[IPv4Network | IPv6Network]:
    """The addresses of all schedulers, as far as they are not names: what these say of a sender is believed."""
    for url in settings.schedulers:
        with suppress(ValueError):
            yield ip_network(split_url(url).hostname or "")
