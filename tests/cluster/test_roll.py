"""All schedulers, as one of them sees them."""

import json
from typing import Any

import pytest

from sccachedist.cluster.roll import UNANSWERED, Roll, SchedulerAccount
from sccachedist.errors import DecodeError
from sccachedist.records.documents import SchedulerRow

A, B = "http://10.0.0.1:10600", "http://10.0.0.2:10600"
LEADS, FOLLOWS = SchedulerAccount("1.0", 1_790_000_000_000_000, 5.0), SchedulerAccount("1.0", None, 7.5, 2.0, ("jwt",))


def row(roll: Roll, url: str) -> SchedulerRow:
    """What is known of one."""
    (found,) = [each for each in roll.rows() if each["url"] == url]
    return found


@pytest.mark.parametrize("account", [LEADS, FOLLOWS])
def test_an_account_is_read_as_it_is_written(account: SchedulerAccount) -> None:
    """What one scheduler says, another one reads."""
    assert SchedulerAccount.read(json.dumps(account.to_json()).encode()) == account


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 1},
        {"number": "1"},
        {"number": -1},
        {"number": True},
        {"secs": None},
        {"secs": 1e300},
        {"secs": float("nan")},
        {"store_silent_secs": []},
    ],
)
def test_an_account_that_is_none(changed: dict[str, Any]) -> None:
    """It is refused as a whole."""
    with pytest.raises(DecodeError):
        SchedulerAccount.read(json.dumps(LEADS.to_json() | changed).encode())


@pytest.mark.parametrize("octets", [b"", b"\xff", b"[]", b"{}", b"[" * 100_000])
def test_what_is_no_account(octets: bytes) -> None:
    """Who answers may be anything."""
    with pytest.raises(DecodeError):
        SchedulerAccount.read(octets)


def test_a_version_is_shown() -> None:
    """It is a text of another host, without what a terminal would obey."""
    octets = json.dumps(LEADS.to_json() | {"version": "1\x1b[2J" + "x" * 999}).encode()
    assert "\x1b" not in SchedulerAccount.read(octets).version
    assert len(SchedulerAccount.read(octets).version) < 999


def test_rows() -> None:
    """One for each, in the order of their URLs; nothing is known before the first answer."""
    roll = Roll([B, A], 100.0)
    assert [each["url"] for each in roll.rows()] == [A, B]
    assert row(roll, A) == SchedulerRow(
        url=A, state=None, since=None, number=None, version=None, store_silent_since=None, differs=[]
    )
    roll.answered(A, LEADS, 200.0)
    roll.answered(B, FOLLOWS, 200.0)
    assert row(roll, A) == SchedulerRow(
        url=A, state="leads", since=195.0, number=LEADS.number, version="1.0", store_silent_since=None, differs=[]
    )
    assert row(roll, B) == SchedulerRow(
        url=B, state="follows", since=192.5, number=None, version="1.0", store_silent_since=198.0, differs=["jwt"]
    )


def test_what_stays_stays() -> None:
    """A time is told as it was at first, though clocks and networks differ a little each time; a change is seen."""
    roll = Roll([A], 100.0)
    roll.answered(A, FOLLOWS, 200.0)
    roll.answered(A, SchedulerAccount("1.1", None, 9.4, 4.1), 202.0)
    assert (row(roll, A)["since"], row(roll, A)["store_silent_since"], row(roll, A)["version"]) == (192.5, 198.0, "1.1")
    roll.answered(A, LEADS, 300.0)
    assert (row(roll, A)["since"], row(roll, A)["store_silent_since"]) == (295.0, None)
    roll.answered(A, SchedulerAccount("1.0", 1 + (LEADS.number or 0), 1.0), 310.0)
    assert row(roll, A)["since"] == 309.0


def test_restarted() -> None:
    """A scheduler that follows again after a restart follows since then."""
    roll = Roll([A], 100.0)
    roll.answered(A, FOLLOWS, 200.0)
    roll.answered(A, SchedulerAccount("1.0", None, 0.5), 210.0)
    assert row(roll, A)["since"] == 209.5


@pytest.mark.parametrize(
    ("said", "differs"),
    [([], ()), (["jwt", "else", 1, [], "client_auth"], ("client_auth", "jwt")), (None, None), ("jwt", None)],
)
def test_what_differs(said: Any, differs: tuple[str, ...] | None) -> None:
    """Only what is known here counts, and each once, also if a scheduler says more."""
    account = SchedulerAccount.read(json.dumps(LEADS.to_json() | {"differs": said}).encode())
    assert account.differs == differs


def test_an_earlier_release() -> None:
    """It does not say what differs."""
    said = {name: value for name, value in LEADS.to_json().items() if name != "differs"}
    assert SchedulerAccount.read(json.dumps(said).encode()).differs is None


def test_silence() -> None:
    """One question without an answer says nothing; after some, it has been silent since its last answer."""
    roll = Roll([A], 100.0)
    roll.answered(A, LEADS, 200.0)
    for _ in range(UNANSWERED - 1):
        roll.unanswered(A)
    assert (row(roll, A)["state"], roll.silent_secs(A, 230.0)) == ("leads", 0.0)
    roll.unanswered(A)
    assert (roll.silent_secs(A, 230.0), roll.silent_secs(B, 230.0)) == (30.0, 0.0)
    silent = row(roll, A)
    roll.unanswered(A)
    assert row(roll, A) == silent
    assert silent == SchedulerRow(
        url=A, state="silent", since=200.0, number=None, version="1.0", store_silent_since=None, differs=[]
    )
    roll.answered(A, FOLLOWS, 300.0)
    assert (row(roll, A)["state"], row(roll, A)["since"]) == ("follows", 292.5)
    assert roll.silent_secs(A, 301.0) == 0.0


def test_one_that_never_answered() -> None:
    """It is silent since it was asked for the first time."""
    roll = Roll([A], 100.0)
    for _ in range(UNANSWERED):
        roll.unanswered(A)
    assert (row(roll, A)["state"], row(roll, A)["since"]) == ("silent", 100.0)
