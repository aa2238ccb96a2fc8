"""What stands above the tables of ``top``: the farm at a glance. Pure."""

from collections.abc import Sequence

from sccachedist.cli.farm.screen import Screen
from sccachedist.cli.farm.words import HOME, compiled_share, counted
from sccachedist.cli.top.looks import TABS, TopLook
from sccachedist.cli.top.tables import Pieces, TopChoice
from sccachedist.records.documents import StatusDocument

#: How many values a sparkline has at most.
SPARKS = 40
_STEPS, _ASCII_STEPS = "▁▂▃▄▅▆▇█", "_.-=#"
_STYLES = {"avoided": "bad", "unfit": "bad", "draining": "warn", "open": "good"}


def header(seen: TopLook | None, used: Sequence[int], trouble: str, paused: bool, screen: Screen) -> list[Pieces]:
    """Three lines.

    :param seen: the latest look, None before the first one.
    :param used: how many jobs ran at each of the latest looks.
    :param trouble: why the latest look failed; empty if it did not.
    """
    if seen is None:
        return [_first(screen, "", trouble), (), ()]
    status = seen.status
    facts = f"version {screen.text(status['version'], 40)}, up {screen.duration(status['up_secs'])}"
    if trouble:
        trouble = f"NOT LIVE since {screen.clock(seen.at)}: {trouble}"
    elif paused:
        trouble = f"STANDS STILL since {screen.clock(seen.at)}: p goes on"
    elif (pause := status["paused"]) is not None:
        trouble = f"farm paused at {screen.clock(pause['since'])} by {pause['by']}: {pause['reason']}"
    return [_first(screen, facts, trouble), _numbers(status, used, screen), _attention(status, screen)]


def tabs(seen: str, choice: TopChoice, shown: int, screen: Screen) -> Pieces:
    """Which table is shown, how many rows it has, and which of them are left out."""
    pieces = [(f" {tab} ", "tab" if tab == seen else FAINT) for tab in TABS]
    filtered = f', with "{screen.text(choice.words, 60)}" in them' if choice.words else ""
    return (*pieces, (f"  {shown:,} rows{filtered}", ""))


def sparkline(values: Sequence[int], most: int, screen: Screen) -> str:
    """The latest values as a line of small bars, as high as they are of the most that there may be."""
    steps = _STEPS if screen.unicode else _ASCII_STEPS
    highest = max(1, most, *values)
    return "".join(steps[max(0, value) * (len(steps) - 1) // highest] for value in values[-SPARKS:])


FAINT = "dim"


def _first(screen: Screen, facts: str, trouble: str) -> Pieces:
    return (
        ("sccachedist", "head"),
        (f"  {screen.text(screen.source)}  {facts}", ""),
        (f"  {screen.text(trouble, 300)}" if trouble else "", "bad"),
    )


def _numbers(status: StatusDocument, used: Sequence[int], screen: Screen) -> Pieces:
    states = [
        (f"{count:,} {screen.text(state, 20)} ", _STYLES.get(state, ""))
        for state, count in status["servers"].items()
        if count
    ]
    recent = status["recent"]
    share, home = compiled_share(recent["outcomes"]), counted(recent["outcomes"], HOME)
    waiting = f"{status['waiting']:,} waiting"
    if status["oldest_wait_secs"] is not None:
        waiting += f" for up to {screen.duration(status['oldest_wait_secs'])}"
    on_the_farm = screen.number(None if share is None else 100 * share, "{:.1f} % on the farm")
    return (
        ("servers ", "head"),
        *(states or [("none ", "bad")]),
        (" jobs ", "head"),
        (f"{status['running']:,} on {status['slots']:,} slots {sparkline(used, status['slots'], screen)} ", ""),
        (waiting, "warn" if status["waiting"] else ""),
        (f"  in {screen.duration(recent['secs'])} ", "head"),
        (f"{on_the_farm}, {home:,} sent home", ""),
    )


def _attention(status: StatusDocument, screen: Screen) -> Pieces:
    """The first thing that needs attention, and how many there are beside it."""
    if not status["attention"]:
        return (("nothing needs attention", FAINT),)
    first, *others = status["attention"]
    more = f"  (and {len(others)} more: sccachedist status)" if others else ""
    return (
        ("attention ", "bad" if first["critical"] else "warn"),
        (f"{screen.text(first['text'], 300)} {screen.text(first['mend'], 200)}{more}", ""),
    )
