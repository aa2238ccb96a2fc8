"""How one writes a time."""

from datetime import UTC, datetime

import pytest

from sccachedist.cli.farm.times import secs_ahead, secs_back
from sccachedist.errors import DecodeError

NOW = datetime(2026, 3, 31, 14, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "secs"),
    [
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("7d", 604_800),
        ("1w", 604_800),
        ("0s", 0),
        ("999999999999d", 100 * 365 * 86400),
        ("14:05", 300),
        ("14:05:30", 270),
        ("14:15", 86_100),
        ("2026-03-31T14:00", 600),
        ("2026-03-31 14:00:30", 570),
        ("2026-03-30", 86400 + 14 * 3600 + 600),
        ("2026-03-31T14:00+02:00", 7800),
        ("1803-01-01", 100 * 365 * 86400),
    ],
)
def test_times(text: str, secs: float) -> None:
    """As far back as one means."""
    assert secs_back(text, NOW) == secs


@pytest.mark.parametrize(
    "text",
    [
        *("", "10", "m", "-10m", "10 m", "1.5h", "10y", "\u0661\u0660m", "9" * 400 + "s"),
        *("25:00", "14:5", "2026-02-30", "yesterday", "2026-04-01"),
    ],
)
def test_what_is_no_time(text: str) -> None:
    """One clear line, also for a time that is yet to come."""
    with pytest.raises(DecodeError, match=r"^(expected a time such as|this time is yet to come)[^\n]*$"):
        secs_back(text, NOW)


@pytest.mark.parametrize(
    ("text", "secs"),
    [
        ("90s", 90),
        ("7d", 604_800),
        ("14:15", 300),
        ("14:05", 86_100),
        ("14:10", 86_400),
        ("2026-03-31T14:10:30", 30),
        ("2026-04-01", 9 * 3600 + 3000),
    ],
)
def test_times_that_are_yet_to_come(text: str, secs: float) -> None:
    """A time of the day is the next one."""
    assert secs_ahead(text, NOW) == secs


@pytest.mark.parametrize("text", ["", "2026-03-31", "2026-03-31T14:10", "-1s", "soon"])
def test_what_is_not_yet_to_come(text: str) -> None:
    """One clear line."""
    with pytest.raises(DecodeError, match=r"^(expected a time such as|this time has been)[^\n]*$"):
        secs_ahead(text, NOW)
