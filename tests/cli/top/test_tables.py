"""What ``top`` shows of documents: rows in the order and the choice of the user, and bars of slots."""

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.cli.farm.screen import Screen
from sccachedist.cli.top import tables
from sccachedist.cli.top.header import SPARKS, header, sparkline, tabs
from sccachedist.cli.top.looks import TABS, TopLook, details, look
from sccachedist.cli.top.tables import FREE, TINTS, Pieces, TopChoice, TopLine, lines, slot_bar, titles
from sccachedist.records.documents import RunningRow
from tests.cli.farm import documents as made
from tests.records.rows import job_row, refused_row

SCREEN = Screen(now=made.NOW, source="http://farm.example.org:10600")
RUNNING = made.JOBS["running"]


def asked(path: str, query: dict[str, str], shape: type[Any]) -> Any:
    """A scheduler that has the documents of the other tests."""
    documents = {
        "status": made.STATUS,
        "servers": made.SERVERS,
        "jobs": made.JOBS,
        "clients": made.CLIENTS,
        "toolchains": made.TOOLCHAINS,
    }
    return documents[path]


def plain(pieces: Pieces) -> str:
    return "".join(text for text, _ in pieces)


def column(found: list[TopLine], seen: TopLook, title: str) -> list[str]:
    return [plain(line.cells[seen.table.column(title)]) for line in found]


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("unicode", [True, False])
def test_every_column(tab: str, unicode: bool) -> None:
    """Rows can be ordered by each column in both directions, and no row is lost by that."""
    seen = look(asked, tab)
    screen = attrs.evolve(SCREEN, unicode=unicode)
    choice = TopChoice(seen.table.first)
    for _ in seen.table.columns:
        choice = choice.beside(seen.table, 1)
        for falling in (True, False):
            found = lines(seen.table, seen.rows, attrs.evolve(choice, falling=falling), screen)
            assert len(found) == len(seen.rows)
            assert all(len(line.cells) == len(titles(seen.table, choice, screen)) for line in found)
            assert unicode or all(plain(cell).isascii() for line in found for cell in line.cells)
    assert choice.column == seen.table.first


def test_order() -> None:
    """By numbers, not by how they are written; what is not known comes last in both directions."""
    seen = look(asked, "servers")
    for falling, expected in ((True, ["5,020", "142", SCREEN.dash]), (False, ["142", "5,020", SCREEN.dash])):
        found = lines(seen.table, seen.rows, TopChoice("DONE", falling=falling), SCREEN)
        assert column(found, seen, "DONE") == expected
    assert [title for title in titles(seen.table, TopChoice("DONE"), SCREEN) if "▼" in title] == ["DONE ▼"]
    assert "DONE ^" in titles(seen.table, TopChoice("DONE", falling=False), Screen(unicode=False))


def test_running_jobs_come_first() -> None:
    """Then those that are over, the latest first."""
    seen = look(asked, "jobs")
    found = lines(seen.table, seen.rows, TopChoice(seen.table.first), SCREEN)
    over = list(made.JOBS["jobs"])
    assert [line.row for line in found] == [
        *RUNNING,
        *sorted(over, key=lambda row: -row["ended"]),
    ]
    assert column(found, seen, "OUTCOME")[0] == RUNNING[0]["phase"]


def test_filter() -> None:
    """Each word has to be somewhere in the row, in any case."""
    seen = look(asked, "servers")
    for words, count in (("", 3), ("BUILD17", 1), ("avoided 10.0.0", 1), ("avoided draining", 0), ("10.0.0.1", 2)):
        assert len(lines(seen.table, seen.rows, TopChoice("ADDRESS", words=words), SCREEN)) == count


def test_each_once() -> None:
    """Two rows that cannot be told apart are one: a table has a place for each key."""
    seen = look(asked, "servers")
    assert len(lines(seen.table, [*seen.rows, *seen.rows], TopChoice("ADDRESS"), SCREEN)) == len(seen.rows)


@pytest.mark.parametrize("tab", TABS)
def test_hostile_names(tab: str) -> None:
    """No name moves a cursor, hides a word or pushes other columns out, not in the details either."""
    seen = look(asked, tab)
    names = {"name", "client", "output", "compiler", "phase", "why", "version", "detail"}
    rows = [{key: made.HOSTILE if key in names else value for key, value in row.items()} for row in seen.rows]
    seen = attrs.evolve(seen, rows=rows)
    found = lines(seen.table, rows, TopChoice(seen.table.first), SCREEN)
    for line in found:
        assert all(plain(cell).isprintable() for cell in line.cells)
        assert sum(len(plain(cell)) for cell in line.cells) < 700
        assert details(seen, line.row, attrs.evolve(SCREEN, width=100)).replace("\n", "").isprintable()
    worry = dict.fromkeys(("text", "mend", "about"), made.HOSTILE)
    status: Any = {**made.STATUS, "version": made.HOSTILE, "attention": [{**worry, "critical": True}]}
    assert all(
        plain(each).isprintable()
        for each in header(attrs.evolve(seen, status=status), [1], made.HOSTILE, False, SCREEN)
    )
    assert plain(tabs("jobs", TopChoice("", words=made.HOSTILE), 1, SCREEN)).isprintable()


@given(
    st.integers(0, 200), st.integers(0, 250), st.dictionaries(st.sampled_from([None, "ann", "ci"]), st.integers(0, 99))
)
def test_bars(slots: int, taken: int, holders: dict[str | None, int]) -> None:
    """A bar is as wide as its slots, 16 at most; all taken is full, none is empty."""
    bar = slot_bar(slots, taken, holders, SCREEN)
    assert len(plain(bar)) == min(16, slots)
    assert {style for _, style in bar} <= {"", FREE, *TINTS}
    if slots and taken >= slots >= sum(holders.values()):
        assert "·" not in plain(bar)
    if not taken and not any(holders.values()):
        assert set(plain(bar)) <= {"·"}


def test_bars_of_clients() -> None:
    """Each client has a tint, the same everywhere; what is not known has none."""
    jobs = [
        RunningRow(id="1", client=client, server="s", toolchain=None, phase="started", secs=1.0)
        for client in ("ann", "ann", "ci", None)
    ]
    holders = tables.holders_of(jobs)
    assert holders == {"s": {"ann": 2, "ci": 1, None: 1}}
    (unknown, ann, ci, free) = slot_bar(8, 4, holders["s"], SCREEN)
    assert (unknown, ann[0], ci[0], free) == (("█", ""), "██", "█", ("····", FREE))
    assert ann[1] in TINTS
    assert plain(slot_bar(8, 4, {}, Screen(unicode=False))) == "####...."


def test_the_header() -> None:
    """The farm at a glance; it says when it is not live."""
    seen = attrs.evolve(look(asked, "servers"), at=made.NOW)
    first, numbers, attention = (plain(line) for line in header(seen, [0, 612], "", False, SCREEN))
    assert first == "sccachedist  http://farm.example.org:10600  version 0.2.0, up 12 d 4 h"
    assert "38 open 1 avoided 1 draining  jobs 612 on 760 slots ▁▆ 3 waiting for up to 12 s" in numbers
    assert "98.6 % on the farm, 171 sent home" in numbers
    assert attention.startswith("attention 10.0.0.17:10501 sends 31 % of its jobs home")
    assert attention.endswith("(and 1 more: sccachedist status)")
    trouble, *_ = header(seen, [], "no answer", True, SCREEN)
    assert plain(trouble).endswith("NOT LIVE since 14:10:00: no answer")
    paused, *_ = header(seen, [], "", True, SCREEN)
    assert plain(paused).endswith("STANDS STILL since 14:10:00: p goes on")
    pause = {"by": "ann", "reason": "new network", "since": made.NOW - 60}
    farm_paused = attrs.evolve(seen, status={**made.STATUS, "paused": pause})  # type: ignore[typeddict-item]
    assert plain(header(farm_paused, [], "", False, SCREEN)[0]).endswith("farm paused at 14:09:00 by ann: new network")
    assert plain(header(None, [], "no answer", False, SCREEN)[0]).endswith("no answer")
    quiet: Any = {
        **made.STATUS,
        "servers": {},
        "attention": [],
        "oldest_wait_secs": None,
        "waiting": 0,
        "recent": made.QUIET,
    }
    _, numbers, attention = (plain(line) for line in header(attrs.evolve(seen, status=quiet), [], "", False, SCREEN))
    assert "none" in numbers
    assert f"{SCREEN.dash}, 0 sent home" in numbers
    assert attention == "nothing needs attention"


def test_sparklines() -> None:
    """As high as the most that there may be, and as long as there is room."""
    assert sparkline([0, 5, 10], 10, SCREEN) == "▁▄█"
    assert sparkline([], 0, SCREEN) == ""
    assert len(sparkline(range(100), 10, SCREEN)) == SPARKS
    assert sparkline([0, 10], 10, Screen(unicode=False)) == "_#"


def test_details() -> None:
    """Of a job, what ``job`` prints; of all others, what has no place in the table, and what needs attention."""
    seen = look(asked, "jobs")
    assert "  phases" in details(seen, made.JOBS["jobs"][0], SCREEN)
    assert details(seen, RUNNING[0], SCREEN).startswith("job ")
    servers = look(asked, "servers")
    shown = details(servers, made.SERVERS["servers"][1], SCREEN)
    assert "own fault     44 (31 %)" in shown
    assert "Run sccachedist doctor there, or drain it." in shown
    long = {**made.SERVERS["servers"][0], "why": "word " * 60}
    assert all(len(line) <= 100 for line in details(servers, long, attrs.evolve(SCREEN, width=100)).splitlines())


def test_how_often() -> None:
    """Each second on a small farm; what is added up of all records is not asked for so often."""
    small: Any = {**made.STATUS, "servers": {"open": 199}}
    large: Any = {**made.STATUS, "servers": {"open": 200}}
    assert [attrs.evolve(look(asked, "jobs"), status=status).secs for status in (small, large)] == [1.0, 2.0]
    assert look(asked, "clients").secs == 5.0


def test_what_is_over_and_has_no_number() -> None:
    """Requests without a slot are told apart by their time."""
    rows = [refused_row(asked=1.0), refused_row(asked=2.0), job_row()]
    assert len(lines(tables.JOBS, rows, TopChoice("TOTAL"), SCREEN)) == 3
