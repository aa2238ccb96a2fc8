"""How one writes a time for a command: ``10m``, ``2h``, ``7d``, or a time of the day with or without its date. Pure."""

import re
from datetime import datetime, timedelta

from sccachedist.errors import DecodeError

EXPECTED = "expected a time such as 90s, 10m, 2h, 7d, 14:05 or 2026-03-31T14:05"

_SECS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SHORT, _OF_THE_DAY = r"([0-9]{1,12})([smhdw])", r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?"
_LONG_AGO_SECS = 100 * 365 * 86400


def secs_back(text: str, now: datetime) -> float:
    """How many seconds before now a time is. A time of the day is the latest one that has been.

    :param now: the time of this host's zone.
    :raises DecodeError: it is no time, or one that is yet to come.
    """
    if short := re.fullmatch(_SHORT, text):
        secs = float(int(short[1]) * _SECS[short[2]])
    else:
        secs = (now - _moment(text, now)).total_seconds()
    if secs < 0:
        raise DecodeError(f"this time is yet to come: {text!r}")
    return min(secs, float(_LONG_AGO_SECS))


def secs_ahead(text: str, now: datetime) -> float:
    """How many seconds after now a time is. A time of the day is the next one.

    :param now: the time of this host's zone.
    :raises DecodeError: it is no time, or one that has been.
    """
    if short := re.fullmatch(_SHORT, text):
        return float(int(short[1]) * _SECS[short[2]])
    moment = _moment(text, now)
    if moment <= now and re.fullmatch(_OF_THE_DAY, text):
        moment += timedelta(days=1)
    if moment <= now:
        raise DecodeError(f"this time has been: {text!r}")
    return (moment - now).total_seconds()


def _moment(text: str, now: datetime) -> datetime:
    if not (text.isascii() and re.fullmatch(r"[0-9:T +-]+", text)):
        raise DecodeError(EXPECTED)
    try:
        if re.fullmatch(_OF_THE_DAY, text):
            moment = datetime.fromisoformat(f"{now.date()}T{text}").astimezone(now.tzinfo)
            return moment if moment <= now else moment - timedelta(days=1)
        return datetime.fromisoformat(text).astimezone(now.tzinfo)
    except (ValueError, OverflowError):
        raise DecodeError(EXPECTED) from None
