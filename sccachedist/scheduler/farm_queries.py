"""What the queries of the farm's API mean: each value is checked, and refused with one clear line.

Pure. Which route knows which key stands beside the route.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from sccachedist.errors import DecodeError
from sccachedist.outcomes import Outcome, Refusal, SentLocal, Word
from sccachedist.printable import excerpt
from sccachedist.records.documents import SERVER_STATES
from sccachedist.records.ring import ENDED, Entry
from sccachedist.records.selection import Selection
from sccachedist.wire.addresses import ServerId

#: The records of a page, if the query does not say, and at most.
PAGE, MOST_ROWS = 100, 1000
_REASONS = (*Refusal, *SentLocal)


def seconds(query: Mapping[str, str], key: str, default: float) -> float:
    """A number of seconds to look back.

    :raises DecodeError: it is none.
    """
    if key not in query:
        return default
    try:
        number = float(query[key])
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise _wrong(query, key, "a number of seconds, such as 600")
    return number


def count(query: Mapping[str, str], key: str, default: int, most: int) -> int:
    """A number from 1 on.

    :raises DecodeError: it is none, or more than ``most``.
    """
    text = query.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise _wrong(query, key, f"a whole number from 1 to {most}")
    return int(text)


def one_of(query: Mapping[str, str], key: str, words: Sequence[str], default: str) -> str:
    """One of some words.

    :raises DecodeError: it is none of them.
    """
    if query.get(key, default) not in words:
        raise _wrong(query, key, f"one of {', '.join(words)}")
    return query.get(key, default)


def states(query: Mapping[str, str]) -> frozenset[str]:
    """The states of build servers that are wanted, which commas separate; without any, all.

    :raises DecodeError: one of them is none.
    """
    wanted = frozenset(query["state"].split(",")) if "state" in query else frozenset[str](SERVER_STATES)
    if not wanted <= set(SERVER_STATES):
        raise _wrong(query, "state", f"some of {', '.join(SERVER_STATES)}")
    return wanted


def selection(query: Mapping[str, str], now: float) -> Selection:
    """Which records are wanted.

    :param now: in seconds since 1970.
    :raises DecodeError: a filter is none.
    """
    for key, words in (("outcome", Outcome), ("reason", _REASONS)):
        if key in query:
            one_of(query, key, _words(words), "")
    texts: dict[str, Any] = {
        key: query[key] for key in ("client", "server", "outcome", "reason", "output") if key in query
    }
    return Selection(since=now - seconds(query, "since", now), **texts)


def is_address(text: str) -> bool:
    """Whether this is the address of a build server, with or without its port."""
    kinds: tuple[Callable[[str], object], ...] = ip_address, ServerId.parse
    for kind in kinds:
        with suppress(ValueError, DecodeError):
            kind(text)
            return True
    return False


class Mark:
    """Where a page ends: ``ENDED~N``. The next one begins behind the N-th wanted record that ended then."""

    def __init__(self, ended: float, given: int) -> None:
        self._ended, self._given, self._left = ended, given, given

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Mark":
        """The mark that a query gives as ``before``; by default, one in front of all records.

        :raises DecodeError: it is none.
        """
        if "before" not in query:
            return cls(math.inf, 0)
        ended, _, given = query["before"].partition("~")
        try:
            return cls(float(ended), int(given))
        except ValueError:
            raise _wrong(query, "before", "what a page gives as next") from None

    def __str__(self) -> str:
        return f"{self._ended!r}~{self._given}"

    def is_behind(self, entry: Entry) -> bool:
        """Whether a wanted record comes after it; asked for each, the latest first."""
        if entry[ENDED] == self._ended and self._left:
            self._left -= 1
            return False
        return entry[ENDED] <= self._ended

    def after(self, page: Sequence[Entry]) -> "Mark":
        """The mark of the next page, after one that is not empty."""
        ended = page[-1][ENDED]
        before = self._given if ended == self._ended else 0
        return Mark(ended, before + sum(entry[ENDED] == ended for entry in page))


def _words(kind: Iterable[Word]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.word for word in kind))


def _wrong(query: Mapping[str, str], key: str, expected: str) -> DecodeError:
    return DecodeError(f"{key}={excerpt(query.get(key, ''))}: expected {expected}")
