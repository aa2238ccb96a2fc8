"""``top`` with its keys pressed: Textual's own pilot, and a scheduler that answers what the test says."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import attrs
import pytest
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Static

from sccachedist.cli.farm.screen import Screen
from sccachedist.cli.top.app import TopApp
from sccachedist.cli.top.rows import Rows
from sccachedist.errors import PeerError
from tests.cli.farm import documents as made
from tests.records.rows import job_row

Play = Callable[[Pilot[None]], Awaitable[None]]


@attrs.define
class Farm:
    """A scheduler in memory: documents by path, what it was asked to do, and why it answers nothing."""

    documents: dict[str, Any]
    trouble: str = ""
    refuses: str = ""
    done: list[Mapping[str, Any]] = attrs.field(factory=list)
    looked: list[str] = attrs.field(factory=list)
    may_answer: threading.Event = attrs.field(factory=threading.Event)

    def __attrs_post_init__(self) -> None:
        self.may_answer.set()

    def ask(self, path: str, query: dict[str, str], shape: type[Any]) -> Any:
        self.looked.append(path)
        self.may_answer.wait(30)
        if self.trouble:
            raise PeerError(self.trouble)
        return self.documents[path]

    def act(self, body: Mapping[str, Any], *, preview: bool = False) -> str:
        if self.refuses:
            raise PeerError(self.refuses)
        self.done.append({**body, "preview": preview})
        return f"{body['action']}[b] {'would be' if preview else 'is'} done"


@pytest.fixture
def farm() -> Farm:
    paths = {"status": made.STATUS, "servers": made.SERVERS, "jobs": made.JOBS}
    return Farm({**paths, "clients": made.CLIENTS, "toolchains": made.TOOLCHAINS})


def play(farm: Farm, steps: Play, size: tuple[int, int] = (200, 30)) -> None:
    """Run the program, and press keys in it."""

    async def run() -> None:
        app = TopApp(farm.ask, farm.act, Screen(source="http://farm.example.org:10600", now=made.NOW))
        async with app.run_test(size=size, notifications=True) as pilot:
            await until(pilot, lambda: "version" in head(pilot) or bool(farm.trouble))
            await steps(pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Go on when a condition holds: looks and actions are made in threads."""
    for _ in range(500):
        await pilot.pause(0.01)
        if condition():
            return
    raise AssertionError(shown(pilot))


def head(pilot: Pilot[None]) -> str:
    return str(pilot.app.query_one("#head", Static).render())


def grid(pilot: Pilot[None]) -> Rows:
    return pilot.app.screen_stack[0].query_one(Rows)


def column(pilot: Pilot[None], title: str) -> list[str]:
    """The cells of a column; its title may have the mark of the order."""
    (place,) = (place for place, each in enumerate(grid(pilot).titles) if each.split(" ▼")[0].split(" ▲")[0] == title)
    return ["".join(text for text, _ in line.cells[place]) for line in grid(pilot).lines]


def shown(pilot: Pilot[None]) -> str:
    """All that is on the terminal."""
    width, height = pilot.app.size
    lines = [strip.text for strip in pilot.app.screen._compositor.render_strips()]
    assert len(lines) == height
    return "\n".join(line[:width] for line in lines)


def is_shown(pilot: Pilot[None], word: str) -> bool:
    return word in shown(pilot)


def test_tables(farm: Farm) -> None:
    """The build servers first, with bars; Tab leads through the others and back."""

    async def steps(pilot: Pilot[None]) -> None:
        assert column(pilot, "NAME")[0] == "build16"
        assert "38 open" in head(pilot)
        assert "12/19" in shown(pilot)
        for tab, title in (("jobs", "OUTCOME"), ("clients", "HOLDS"), ("toolchains", "HELD BY")):
            await pilot.press("tab")
            await until(pilot, partial(is_shown, pilot, title))
            assert tab in farm.looked
        await pilot.press("shift+tab", "shift+tab", "shift+tab")
        await until(pilot, lambda: "build16" in shown(pilot))

    play(farm, steps)


def test_sorting(farm: Farm) -> None:
    """Keys and arrows choose the column, r turns the order round, and the cursor stays on its row."""

    async def steps(pilot: Pilot[None]) -> None:
        assert column(pilot, "ADDRESS") == ["10.0.0.16:10501", "[2001:db8::40]:10501", "10.0.0.17:10501"]
        await pilot.press("down")
        await pilot.press("less_than_sign", "left")
        assert column(pilot, "ADDRESS") == ["10.0.0.16:10501", "10.0.0.17:10501", "[2001:db8::40]:10501"]
        assert "ADDRESS ▲" in shown(pilot)
        await pilot.press("r")
        assert column(pilot, "ADDRESS")[0] == "[2001:db8::40]:10501"
        assert grid(pilot).cursor == 0
        await pilot.press("greater_than_sign", "right")
        assert "SLOTS ▼" in shown(pilot)

    play(farm, steps)


def test_many_rows(farm: Farm) -> None:
    """What is under the cursor is to be seen, on a small terminal and after a click; the head stays where it is."""
    some = made.SERVERS["servers"][0]
    many = [
        {**some, "address": f"10.0.{place}.1:10501", "name": f"build{place:03}", "taken": 0} for place in range(300)
    ]
    farm.documents["servers"] = {"v": 1, "servers": many}

    async def steps(pilot: Pilot[None]) -> None:
        for key, name in (
            ("end", "build299"),
            ("up", "build298"),
            ("pageup", "build285"),
            ("home", "build000"),
            ("pagedown", "build013"),
            ("down", "build014"),
        ):
            await pilot.press(key)
            await until(pilot, partial(is_shown, pilot, name))
            line = grid(pilot).line
            assert line is not None
            assert line.row["name"] == name
            assert "NAME" in shown(pilot)
        top = grid(pilot).scroll_offset.y
        await pilot.click(Rows, offset=(5, 3))
        assert grid(pilot).cursor == top + 2
        await pilot.click(Rows, offset=(5, 0))
        assert grid(pilot).cursor == top + 2
        assert "REGISTERED" not in shown(pilot)
        await pilot.press(*["shift+right"] * 12)
        await until(pilot, partial(is_shown, pilot, "REGISTERED"))

    play(farm, steps, (80, 20))


def test_filtering(farm: Farm) -> None:
    """What is typed counts at once, keys have no other meaning there, and Escape shows all again."""

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"build17")
        await until(pilot, lambda: len(grid(pilot).lines) == 1)
        assert '1 rows, with "build17" in them' in shown(pilot)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: "own fault" in shown(pilot))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: len(grid(pilot).lines) == 3)
        await pilot.press("slash", *"qdkp", "escape")
        await until(pilot, lambda: len(grid(pilot).lines) == 3)
        assert pilot.app.is_running

    play(farm, steps)


def test_typed_at_once(farm: Farm) -> None:
    """However quickly keys come, those before Enter or Escape are for the filter, and those after for the table."""

    def type_quickly(pilot: Pilot[None], *keys: str) -> None:
        for key in keys:
            pilot.app.post_message(Key(key, key if len(key) == 1 else None))

    async def steps(pilot: Pilot[None]) -> None:
        type_quickly(pilot, "slash", *"build17", "enter", "d")
        await until(pilot, lambda: bool(farm.done))
        assert (farm.done[0]["action"], farm.done[0]["preview"]) == ("drain", True)
        await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
        await pilot.press("escape")
        assert [len(grid(pilot).lines), '"build17" in them' in shown(pilot)] == [1, True]
        type_quickly(pilot, "slash", *"x", "escape", "r")
        await until(pilot, lambda: len(grid(pilot).lines) == 3 and "▲" in shown(pilot))

    play(farm, steps)


def test_drain_and_undrain(farm: Farm) -> None:
    """It says what will be done, asks for a reason, does it, and looks again."""

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("d")
        await until(pilot, lambda: "drain 10.0.0.16:10501: drain[b] would be done" in shown(pilot))
        await pilot.press(*"new kernel", "enter")
        await until(pilot, lambda: "drain[b] is done" in shown(pilot))
        await pilot.press("u")
        await until(pilot, lambda: "undrain[b] would be done" in shown(pilot))
        looks = len(farm.looked)
        await pilot.press("enter")
        await until(pilot, lambda: "undrain[b] is done" in shown(pilot) and len(farm.looked) > looks)
        await pilot.press("d")
        await until(pilot, lambda: "drain 10.0.0.16:10501: drain[b] would be done" in shown(pilot))
        await pilot.press("q", "escape")

    play(farm, steps)
    server = {"servers": ["10.0.0.16:10501"]}
    assert farm.done == [
        {"action": "drain", **server, "preview": True},
        {"action": "drain", **server, "reason": "new kernel", "preview": False},
        {"action": "undrain", **server, "preview": True},
        {"action": "undrain", **server, "preview": False},
        {"action": "drain", **server, "preview": True},
    ]


def test_kill(farm: Farm) -> None:
    """The job under the cursor, if it is not over, and all of a client."""

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("tab")
        await until(pilot, lambda: "PassBuilder" in shown(pilot))
        await pilot.press("k")
        await until(pilot, lambda: "kill[b] would be done" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: "kill[b] is done" in shown(pilot))
        await pilot.press("end", "k")
        await until(pilot, lambda: "nothing here that this key does something to" in shown(pilot))
        await pilot.press("tab")
        await until(pilot, lambda: "HOLDS" in shown(pilot))
        await pilot.press("k")
        await until(pilot, lambda: "kill[b] would be done" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: len(farm.done) == 4)

    play(farm, steps)
    assert farm.done[1] == {"action": "kill", "job": made.JOBS["running"][0]["id"], "preview": False}
    assert farm.done[3] == {"action": "kill", "client": made.CLIENTS["clients"][0]["client"], "preview": False}


def test_who_may_not(farm: Farm) -> None:
    """The reason is shown, and nothing is asked."""
    farm.refuses = "only administrators may do that"

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("d")
        await until(pilot, lambda: "only administrators may do that" in shown(pilot))

    play(farm, steps)
    assert farm.done == []


def test_changes(farm: Farm) -> None:
    """A row that changes and one that is new are shown at the next look; the cursor stays on its row."""

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("down", "down")
        busy = {**made.SERVERS["servers"][0], "load": 99.5}
        farm.documents["servers"] = {"v": 1, "servers": [busy, *made.SERVERS["servers"][1:]]}
        await until(pilot, lambda: "99.5" in shown(pilot))
        new = {**busy, "address": "10.0.0.1:10501", "name": "build01", "taken": 19}
        farm.documents["servers"] = {"v": 1, "servers": [new, busy, *made.SERVERS["servers"][1:]]}
        await until(pilot, lambda: "build01" in shown(pilot))
        assert grid(pilot).cursor == 3
        farm.documents["servers"] = {"v": 1, "servers": []}
        await until(pilot, lambda: not grid(pilot).lines)
        await pilot.press("enter", "d")
        await until(pilot, lambda: "nothing here" in shown(pilot))

    play(farm, steps)


def test_trouble_and_pause(farm: Farm) -> None:
    """A scheduler that is away is waited for; what stands there is said to be old. p makes it stand still."""

    async def steps(pilot: Pilot[None]) -> None:
        farm.trouble = "the scheduler does not answer\x1b[2J"
        await until(pilot, lambda: "NOT LIVE since" in head(pilot))
        assert "does not answer\\x1b[2J" in head(pilot)
        assert column(pilot, "NAME")[0] == "build16"
        farm.trouble = ""
        await pilot.press("p")
        await until(pilot, lambda: "STANDS STILL" in head(pilot) or "NOT LIVE" in head(pilot))
        looks = len(farm.looked)
        await pilot.pause(0.2)
        assert len(farm.looked) == looks
        await pilot.press("p")
        await until(pilot, lambda: "NOT LIVE" not in head(pilot) and "STANDS STILL" not in head(pilot))

    play(farm, steps)


def test_nobody_answers(farm: Farm) -> None:
    """The keys do nothing then, and break nothing."""
    farm.trouble = "no scheduler"

    async def steps(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "no scheduler" in head(pilot))
        await pilot.press("d", "enter", "r", "less_than_sign", "slash", "x", "enter", "escape", "tab")

    play(farm, steps)


def test_hostile_names(farm: Farm) -> None:
    """No markup, no control character, in no table, no question and no detail."""
    names = {"name", "client", "output", "compiler", "phase", "why", "version"}
    bad = "[red]x[/red][@click=app.quit]\x1b]0;t\x07\u202e" + "y" * 300
    for path in ("servers", "jobs", "clients", "toolchains"):
        farm.documents[path] = {
            key: [{name: bad if name in names else old for name, old in row.items()} for row in value]
            if isinstance(value, list)
            else value
            for key, value in farm.documents[path].items()
        }
    farm.documents["jobs"]["jobs"].append(job_row(client=bad, output=bad))

    async def steps(pilot: Pilot[None]) -> None:
        for _ in range(4):
            await until(pilot, lambda: "[red]x[/red][@click=app.quit]\\x1b" in shown(pilot))
            await pilot.press("enter")
            await until(pilot, lambda: len(pilot.app.screen_stack) == 2)
            assert shown(pilot).replace("\n", "").isprintable()
            await pilot.press("escape", "tab")
        await pilot.press("slash", *"[b]", "escape")
        assert shown(pilot).replace("\n", "").isprintable()

    play(farm, steps, (240, 40))


def test_faults_are_not_hidden(farm: Farm) -> None:
    """One of ours in a thread ends the program: it would stand still without a word otherwise."""
    del farm.documents["clients"]

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("tab", "tab")
        await until(pilot, lambda: not pilot.app.is_running)

    with pytest.raises(KeyError, match="clients"):
        play(farm, steps)


def test_it_ends_at_once(farm: Farm) -> None:
    """Also while the scheduler takes its time to answer."""

    async def steps(pilot: Pilot[None]) -> None:
        farm.may_answer.clear()
        await pilot.press("tab", "q")
        await until(pilot, lambda: not pilot.app.is_running)

    play(farm, steps)
    farm.may_answer.set()
