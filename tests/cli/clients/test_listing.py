"""``client list``: what is shown of named clients, as far as the file and the scheduler know them."""

from datetime import UTC, datetime

import attrs
import pytest

from sccachedist.cli.clients.listing import render
from sccachedist.cli.farm.screen import Screen
from sccachedist.config.clients import read_clients
from sccachedist.records.client_documents import NamedClientRow, NamedClientsDocument, NamedTokenRow

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
TOKENS = ", ".join(
    f'{{ sha256 = "{digits * 16}", added = 2026-0{number}-01{until} }}'
    for number, (digits, until) in enumerate(
        [
            ("aaaa", ", until = 2026-11-20"),
            ("bbbb", ", until = 2026-12-05T12:00:00Z"),
            ("cccc", ", until = 2027-01-15"),
            ("dddd", ""),
        ],
        1,
    )
)
CLIENTS = read_clients(
    f"""\
[ann]
weight = 2.5
max_slots = 1200
labels = ["fast"]
tokens = [{TOKENS}]
[bob]
class = "batch"
tokens = [{{ sha256 = "{"eeee" * 16}" }}]
[_default]
weight = 0.5
""".encode()
)
SCREEN = Screen(unicode=False, now=NOW)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.localtime", __import__("time").gmtime)


def client(name: str, **last_used: float | None) -> NamedClientRow:
    tokens = [
        NamedTokenRow(sha256=digits * 2, added=None, until=None, last_used=used) for digits, used in last_used.items()
    ]
    return {
        "name": name,
        "weight": 1,
        "max_slots": None,
        "class": "batch",
        "slots": 0,
        "waiting": 0,
        "addresses": 0,
        "tokens": tokens,
    }


def test_what_is_known() -> None:
    """A line for each token; what ends soon or has ended, who uses it still, and what was not read yet."""
    tokens = client("ann", aaaa=NOW - 90, bbbb=NOW + 5, cccc=None), client("carl", dddd=NOW)
    text = render(CLIENTS, NamedClientsDocument(v=1, since=NOW - 3600, clients=[*tokens]), SCREEN)
    assert text == (
        "CLIENT    WEIGHT  CLASS        MAX SLOTS  LABELS  TOKEN     ADDED       ENDS                       LAST USED\n"
        "ann          2.5  interactive      1,200  fast    aaaaaaaa  2026-01-01  ended 2026-11-20 00:00:00  90 s ago\n"
        "                                                  bbbbbbbb  2026-02-01  2026-12-05 12:00:00        "
        "0.00 s ago\n"
        "                                                  cccccccc  2026-03-01  2027-01-15 00:00:00        not used\n"
        "                                                  dddddddd  2026-04-01  -                          "
        "the scheduler has not read it\n"
        "bob            1  batch                -  -       eeeeeeee  -           -                          "
        "the scheduler has not read it\n"
        "_default     0.5  interactive          -  -       -         -           -                          -\n"
        "used since 11:00:00"
    )


def test_what_is_not_known() -> None:
    """Without a scheduler, the file alone."""
    lines = render(CLIENTS, None, SCREEN).splitlines()
    assert (len(lines), lines[1].endswith("ended 2026-11-20 00:00:00  -")) == (7, True)
    assert render({}, None, SCREEN) == "no client has a name: sccachedist client add gives one"


def test_what_needs_attention() -> None:
    """It has a colour."""
    document = NamedClientsDocument(v=1, since=NOW, clients=[])
    text = render(CLIENTS, document, attrs.evolve(SCREEN, colour=True))
    assert text.count("\x1b[31m") == 1  # has ended
    assert text.count("\x1b[33m") == 6  # one ends in a week, and five were not read
