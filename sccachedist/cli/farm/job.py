"""``job ID``: all that is known of one job, with its phases as a waterfall. Pure."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from sccachedist.cli.farm.screen import Screen, paragraph
from sccachedist.cli.farm.words import outcome_cell, sentences
from sccachedist.outcomes import TimedPhase
from sccachedist.records.documents import JobDocument, JobRow, RunningRow

N = TypeVar("N", int, float)

_WIDEST_BAR, _NARROWEST_BAR = 60, 10
_BEFORE_BAR = 36  # the columns that the name and the time of a phase take


def render(document: JobDocument, screen: Screen) -> str:
    """The job that is over, or the one that is not."""
    if document["job"] is not None:
        return "\n".join(_over(document["job"], screen))
    if document["running"] is not None:
        return _running(document["running"], screen)
    return "No such job."


def is_known(document: JobDocument) -> bool:
    """Whether there is such a job."""
    return document["job"] is not None or document["running"] is not None


def verdict(row: JobRow, screen: Screen) -> Iterator[str]:
    """What became of a request, why, and what mends that."""
    means, mend = sentences(row)
    if row["detail"]:
        yield paragraph(screen.text(f'"{row["detail"]}"', 500), screen)
    yield paragraph(means, screen)
    if mend:
        yield paragraph(f"Mend: {mend}", screen)


def _over(row: JobRow, screen: Screen) -> Iterator[str]:
    outcome = outcome_cell(row, screen)
    yield screen.fitting(f"job {screen.text(row['id'])}: {outcome.text}")
    yield from verdict(row, screen)
    facts = [
        ("output", screen.text(row["output"])),
        ("compiler", screen.text(row["compiler"])),
        ("exit", screen.number(row["exit"], "{}")),
        ("client", screen.text(row["client"])),
        ("server", screen.text(row["server"])),
        ("toolchain", screen.text(row["toolchain"])),
        *_led_by(row, screen),
        ("asked", screen.clock(row["asked"])),
        ("ended", f"{screen.clock(row['ended'])}, after {screen.duration(max(0.0, row['ended'] - row['asked']))}"),
        ("cpu", _told([(row["cpu_user"], "user"), (row["cpu_system"], "system")], "{:.2f} s".format, screen)),
        ("memory", _told([(row["memory"], "at most")], screen.size, screen)),
        ("bytes", _told([(row["in"], "in"), (row["out"], "out"), (row["uploaded"], "toolchain")], screen.size, screen)),
    ]
    for name, text in facts:
        yield screen.fitting(f"  {name:11}{text}")
    yield from _waterfall(row, screen)


def _led_by(row: JobRow, screen: Screen) -> Iterator[tuple[str, str]]:
    """Which of several schedulers led."""
    if row["scheduler"] is not None:
        yield "scheduler", f"{screen.text(row['scheduler'])}, as number {screen.number(row['term'], '{}')}"


def _told(facts: list[tuple[N | None, str]], form: Callable[[N], str], screen: Screen) -> str:
    """Numbers with their words; unknown ones are left out."""
    return ", ".join(f"{form(value)} {word}" for value, word in facts if value is not None) or screen.dash


def _waterfall(row: JobRow, screen: Screen) -> Iterator[str]:
    """A line for each phase, whose bar begins where the one before ends."""
    known = [phase.word for phase in TimedPhase if phase.word in row["phases"]]
    secs = {word: max(0.0, row["phases"][word]) for word in known}
    whole = sum(secs.values())
    if not whole:
        return
    room = min(_WIDEST_BAR, max(_NARROWEST_BAR, (screen.width or 100) - _BEFORE_BAR))
    yield "  phases"
    before = 0.0
    for word, took in secs.items():
        begin, end = round(room * before / whole), round(room * (before + took) / whole)
        before += took
        yield screen.fitting(f"    {word:18}{took:9.3f} s  {' ' * begin}{screen.bar * (end - begin)}".rstrip())


def _running(row: RunningRow, screen: Screen) -> str:
    return screen.fitting(
        f"job {screen.text(row['id'])}: {screen.text(row['phase'])} for {screen.duration(row['secs'])}, "
        f"client {screen.text(row['client'])}, server {screen.text(row['server'])}"
    )
