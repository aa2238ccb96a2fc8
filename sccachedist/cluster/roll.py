"""All schedulers of a farm, as one of them sees them: who answers, what each says of itself, and since when.

Pure: times are arguments, in seconds since 1970. How one asks another is not known here.
"""

import json
from collections.abc import Iterable

import attrs

from sccachedist.cluster.agreement import PARTS
from sccachedist.errors import DecodeError
from sccachedist.printable import excerpt
from sccachedist.records.documents import SchedulerRow

#: How many questions in a row have to be without an answer before a scheduler is taken for silent.
UNANSWERED = 2
#: By so many seconds clocks and networks differ less from one answer to the next: a later time is that of a restart.
_RESTART_SECS = 2.0
#: Numbers that are no more than these are exact in each language.
_MOST = 1 << 53


@attrs.frozen
class SchedulerAccount:
    """What a scheduler says of itself.

    :param number: of its term, see :class:`~sccachedist.cluster.leadership.Leading`; None if it does not lead.
    :param secs: for how long it has led, or not led.
    :param store_silent_secs: for how long the store of the lock has not answered it; None if it answers.
    :param differs: what of its configuration is not as the asker's, see :mod:`sccachedist.cluster.agreement`; None if
        that is not asked, or not known.
    """

    version: str
    number: int | None
    secs: float
    store_silent_secs: float | None = None
    differs: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, object]:
        """The document that :meth:`read` reads."""
        return {"v": 1, **attrs.asdict(self)}

    @classmethod
    def read(cls, octets: bytes) -> "SchedulerAccount":
        """What another scheduler has answered.

        :raises DecodeError: it is no such document.
        """
        try:
            told = json.loads(octets)
        except (ValueError, RecursionError):
            told = None
        match told:
            case {
                "version": str(version),
                "number": number,
                "secs": int() | float() as secs,
                "store_silent_secs": silent,
            } if all(map(_is_number, (number, secs, silent))):
                differs = _parts(told.get("differs"))
                return cls(excerpt(version), None if number is None else int(number), secs, silent, differs)
        raise DecodeError("a scheduler says of itself what is not understood")


def _parts(value: object) -> tuple[str, ...] | None:
    """Those that are known here; None if there is no list of them."""
    return tuple(part for part in PARTS if part in value) if isinstance(value, list) else None


def _is_number(value: object) -> bool:
    """Whether it is one that means something, or none at all."""
    return value is None or (isinstance(value, int | float) and value is not True and 0 <= value < _MOST)


@attrs.define
class _Known:
    """One scheduler.

    :param heard: when it last answered.
    :param missed: how many questions it has not answered since.
    """

    row: SchedulerRow
    heard: float
    missed: int = 0


class Roll:
    """What is known of each.

    :param urls: of all of them.
    """

    def __init__(self, urls: Iterable[str], now: float) -> None:
        self._known = {url: _Known(_unknown(url), now) for url in urls}

    def answered(self, url: str, account: SchedulerAccount, now: float) -> None:
        """A scheduler has said how it stands. What has not changed is so since the same time as before."""
        known = self._known[url]
        before, number, silent = known.row, account.number, account.store_silent_secs
        state = "follows" if number is None else "leads"
        since = round(now - account.secs, 3)
        is_same = (before["state"], before["number"]) == (state, number)
        is_older = before["since"] is not None and since - before["since"] < _RESTART_SECS
        silent_since = before["store_silent_since"]
        if silent is None or silent_since is None:
            silent_since = None if silent is None else round(now - silent, 3)
        known.row = SchedulerRow(
            url=url,
            state=state,
            since=before["since"] if is_same and is_older else since,
            number=number,
            version=account.version,
            store_silent_since=silent_since,
            differs=[*(account.differs or ())],
        )
        known.heard, known.missed = now, 0

    def unanswered(self, url: str) -> None:
        """A scheduler has not answered."""
        known = self._known[url]
        known.missed += 1
        if known.missed == UNANSWERED:
            silent = _unknown(url) | {
                "state": "silent",
                "since": round(known.heard, 3),
                "version": known.row["version"],
            }
            known.row = silent

    def silent_secs(self, url: str, now: float) -> float:
        """For how long a scheduler has been silent; 0 for one that is not, or that is not asked.

        Time in which this process did not run is no silence.
        """
        known = self._known.get(url)
        return 0.0 if known is None or known.missed < UNANSWERED else now - known.heard

    def rows(self) -> list[SchedulerRow]:
        """One for each scheduler, in the order of their URLs."""
        return [self._known[url].row for url in sorted(self._known)]


def _unknown(url: str) -> SchedulerRow:
    return SchedulerRow(url=url, state=None, since=None, number=None, version=None, store_silent_since=None, differs=[])
