"""The kinds of single values that our keys take: how each is written, and what it becomes.

What is accepted follows ``sccache-dist`` 0.16.0, as found by running it. This module knows neither keys nor files.
"""

import enum
import os
import re
from datetime import UTC, date, datetime
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import TypeVar

from sccachedist.config.schema import Value
from sccachedist.wire.abilities import is_label
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.http_texts import header_token, plain_text, split_url
from sccachedist.wire.machines import NUMBERS, number_of
from sccachedist.wire.secret_key import decode_secret_key

N = TypeVar("N", int, float)

#: Algorithms that sign with a private key, which only the provider has.
_ALGORITHMS = [f"{family}{size}" for family in ("RS", "PS", "ES") for size in (256, 384, 512)]


def _of_server(text: str) -> ServerId | IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError:
        return ServerId.parse(text)


def _network_name(text: str) -> str:
    """A network as it names a table: written in one way, so that no two tables are of the same one."""
    return str(ip_network(text))


def _path(text: str) -> Path:
    if not text:
        raise ValueError
    os.fsencode(plain_text(text))  # raises at what the locale's encoding lacks
    return Path(text)


def _option(text: str) -> str:
    """A text that begins like an option; its star, which stands for any text, may only be at the end."""
    if not re.fullmatch(r"[-/][^\s*]+(?: [^\s*]+)?\*?", text):
        raise ValueError
    return plain_text(text)


def _person(text: str) -> str:
    """A name that people and mail systems use; two of the words that the audit uses for others are none."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", text) or text in ("administrator", "viewer"):
        raise ValueError
    return text


def _label(text: str) -> str:
    if not is_label(text):
        raise ValueError
    return text


def _client(text: str) -> str:
    """A name that is no address, or the word for clients without a name."""
    if text != "_default" and not re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise ValueError
    return text


def _moment(given: date | datetime) -> float:
    """Seconds since 1970; a time without a zone is UTC."""
    if not 1970 <= given.year < 9999:
        raise ValueError
    moment = given if isinstance(given, datetime) else datetime(given.year, given.month, given.day)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _matching(pattern: str, text: str) -> str:
    if not re.fullmatch(pattern, text):
        raise ValueError
    return text.lower()


def _algorithm(text: str) -> str:
    if text not in _ALGORITHMS:
        raise ValueError
    return text


def _url(text: str) -> str:
    split_url(text)
    return text


def _origin(text: str) -> str:
    """A URL without a path; an address alone means ``http``, as for the published build server."""
    url = split_url(text if "://" in text else f"http://{ServerId.parse(text)}")
    if url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError
    return f"{url.scheme}://{url.netloc}"


def _secure_origin(text: str) -> str:
    """A URL without a path, of a server that speaks TLS."""
    origin = _origin(text)
    if not origin.startswith("https://"):
        raise ValueError
    return origin


def _at_least(least: int, number: int) -> int:
    return between(least, 2**64 - 1, number)


def between(least: float, most: float, number: N) -> N:
    """The number itself.

    :raises ValueError: it is out of bounds.
    """
    if not least <= number <= most:
        raise ValueError
    return number


def one_of(names: type[enum.Enum]) -> Value:
    """One of the values of an enumeration."""
    return Value(str, f"one of {', '.join(name.value for name in names)}", names)


ADDRESS = Value(str, "IP:PORT such as 192.168.1.1:10501 or [2001:db8::1]:10501", ServerId.parse)
IP = Value(str, "an IP address", ip_address)
REVOKED = Value(str, "IP:PORT, or an IP address for all of its ports", _of_server)
NETWORK = Value(str, "an IP network such as 10.0.0.0/8, or an IP address", ip_network)
NETWORK_NAME = Value(str, NETWORK.expected, _network_name)
ORIGIN = Value(str, "a http or https URL without a path", _origin)
SECURE_ORIGIN = Value(str, "a https URL without a path", _secure_origin)
URL = Value(str, "a http or https URL", _url)
PATH = Value(str, "a path", _path)
TEXT = Value(str, "a text", plain_text)
OPTION = Value(str, "a compiler's option such as -mfoo, or -mfoo* for all that begin so", _option)
TOKEN = Value(str, "a text that fits into a HTTP header", header_token)
JWT_KEY = Value(str, "32 bytes in unpadded base64url, as auth generate-jwt-hs256-key prints them", decode_secret_key)
PERSON = Value(str, "the name of a person such as ann or ann@example.org", _person)
LABEL = Value(str, "a label such as fast or gpu", _label)
MACHINE = Value(str, f"a machine in the words of uname -m: one of {', '.join(NUMBERS)}", number_of)
CLIENT = Value(str, "the name of a client such as ann or build-7", _client)
DIGEST = Value(str, "64 hexadecimal digits, as sha256sum prints them", partial(_matching, "[0-9A-Fa-f]{64}"))
HEADER = Value(str, "the name of a header such as X-Forwarded-User", partial(_matching, "[A-Za-z0-9-]{1,100}"))
ALGORITHM = Value(str, f"one of {', '.join(_ALGORITHMS)}", _algorithm)
CACHE_BYTES = Value(int, "a number of bytes", partial(_at_least, 0))
BYTES = Value(int, "a number of bytes, 1 or more", partial(_at_least, 1))
WEIGHT = Value((int, float), "a number from 0.001 to 1000", partial(between, 0.001, 1000))
MOMENT = Value((date, datetime), "a day such as 2027-01-15, or a time such as 2027-01-15T12:00:00Z", _moment)
COUNT = Value(int, "a whole number, 1 or more", partial(_at_least, 1))
NUMBER = Value(int, "a whole number, 0 or more", partial(_at_least, 0))
SECONDS = Value(int, "a whole number of seconds, 0 or more", partial(_at_least, 0))
BOOL = Value(bool, "true or false", bool)
CPUS = Value(int, "a number of CPUs, 1 to 65536", partial(between, 1, 1 << 16))
NICE = Value(int, "a whole number, 0 to 19", partial(between, 0, 19))
CPU_WEIGHT = Value(int, "a whole number, 1 to 10000", partial(between, 1, 10_000))
HEARTBEAT_SECONDS = Value(int, "a whole number of seconds, 1 to 30", partial(between, 1, 30))
# The oldest clients wait 600 seconds for any answer.
WAIT_SECONDS = Value(int, "a whole number of seconds, 0 to 590", partial(between, 0, 590))
