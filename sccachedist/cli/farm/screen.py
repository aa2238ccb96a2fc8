"""Text for a terminal: cells in columns, cut to its width, without colour or characters that it does not show.

Pure. All that others have named goes through :meth:`Screen.text`: it moves no cursor, hides nothing and takes one line.
"""

import time
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Literal

import attrs

from sccachedist.printable import excerpt

_GAP = "  "
#: The width of an address, and of one with its port.
ADDRESS, ADDRESS_AND_PORT = 15, 21
_DAY_SECS = 86400

Style = Literal["", "head", "good", "warn", "bad"]
_CODES = {"head": "1", "good": "32", "warn": "33", "bad": "31"}


@attrs.frozen
class Cell:
    """A text in a column, made fit for the terminal already."""

    text: str
    style: Style = ""


@attrs.frozen
class Column:
    """A column of a table.

    :param right: whether its cells stand at its right end, as numbers do.
    :param keep: the end of a cell that is left when it has to be cut; None if it is not cut.
    :param least: the width that is left to it, if the terminal has so much.
    :param spare: whether it may be left out if the terminal is too narrow; the last one goes first.
    """

    title: str
    right: bool = False
    keep: Literal["start", "end"] | None = None
    least: int = 8
    spare: bool = False


@attrs.frozen
class Screen:
    """Where a text is shown.

    :param width: the columns of the terminal; None for a file or a pipe, for which nothing is cut.
    :param now: seconds since 1970.
    :param source: where the document comes from: a URL or a file.
    """

    width: int | None = None
    colour: bool = False
    unicode: bool = True
    now: float = attrs.field(factory=time.time)
    source: str = ""

    @property
    def dash(self) -> str:
        """Stands for what is not known."""
        return "\N{EN DASH}" if self.unicode else "-"

    @property
    def bar(self) -> str:
        """A piece of a bar."""
        return "█" if self.unicode else "#"

    def text(self, strange: str | None, longest: int = 200) -> str:
        """A stranger's text, fit to be shown."""
        if strange is None:
            return self.dash
        shown = excerpt(strange, longest)
        return shown if self.unicode else shown.encode("ascii", "backslashreplace").decode()

    def styled(self, text: str, style: Style) -> str:
        """A text in the colour that its style has."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.colour and style and text else text

    def number(self, value: float | None, form: str = "{:,.0f}") -> str:
        """A number, with its unit if the form has one."""
        return self.dash if value is None else form.format(value)

    def size(self, octets: int | None) -> str:
        """A number of bytes, to three digits."""
        if octets is None:
            return self.dash
        value, units = float(octets), iter(("B", "kB", "MB", "GB", "TB", "PB"))
        unit = next(units)
        while value >= 999.5:
            value, unit = value / 1000, next(units, "EB")
            if unit == "EB":
                break
        return f"{value:.0f} {unit}" if unit == "B" or value >= 9.95 else f"{value:.1f} {unit}"

    def duration(self, secs: float | None) -> str:
        """A time, to two units at most."""
        if secs is None:
            return self.dash
        if secs < 9.95:
            return f"{secs:.2f} s" if secs < 0.995 else f"{secs:.1f} s"
        if secs < 119.5:
            return f"{secs:.0f} s"
        minutes = round(secs / 60)
        if minutes < 120:
            return f"{minutes} min"
        hours, minutes = divmod(minutes, 60)
        if hours < 48:
            return f"{hours} h {minutes} min" if minutes else f"{hours} h"
        days, hours = divmod(hours, 24)
        return f"{days:,} d {hours} h" if hours else f"{days:,} d"

    def clock(self, at: float | None) -> str:
        """A time of this host's zone; with its date if it is not within a day of now."""
        if at is None:
            return self.dash
        form = "%H:%M:%S" if abs(self.now - at) < _DAY_SECS else "%Y-%m-%d %H:%M:%S"
        try:
            return time.strftime(form, time.localtime(at))
        except (ValueError, OverflowError, OSError):  # a year that no clock has
            return self.dash

    def fitting(self, line: str) -> str:
        """A line, cut at the right end of the terminal."""
        return line if self.width is None else self.cut(line, self.width, "start")

    def cut(self, text: str, width: int, keep: Literal["start", "end"]) -> str:
        """A text in at most so many columns."""
        if width_of(text) <= width:
            return text
        mark = "…" if self.unicode else "~"
        left = max(0, width - 1)
        if keep == "start":
            return _beginning(text, left) + mark[:width]
        return mark[:width] + _beginning(text[::-1], left)[::-1]


def table(columns: Sequence[Column], rows: Iterable[Sequence[Cell | str]], screen: Screen) -> str:
    """A head and a line for each row."""
    head = [Cell(column.title, "head") for column in columns]
    lines = [head, *([cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows)]
    widths = [max(map(_width, cells)) for cells in zip(*lines, strict=True)]
    places = _places(widths, columns, screen.width)
    columns = [columns[place] for place in places]
    widths = _fitted([widths[place] for place in places], columns, screen.width)
    return "\n".join(_line([line[place] for place in places], columns, widths, screen) for line in lines)


def paragraph(text: str, screen: Screen, indent: str = "  ") -> str:
    """A text in lines that fit, each with an indent."""
    width = (screen.width or 120) - len(indent)
    lines, line = [], ""
    for word in text.split(" "):
        if line and width_of(line) + 1 + width_of(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join(screen.fitting(indent + each) for each in [*lines, line])


def width_of(text: str) -> int:
    """The columns that a text takes: none for an accent that joins another character, two for one of East Asia."""
    if text.isascii():
        return len(text)
    return sum(_character(each) for each in text)


def _character(each: str) -> int:
    if unicodedata.category(each) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(each) in "WF" else 1


def _width(cell: Cell) -> int:
    return width_of(cell.text)


def _beginning(text: str, width: int) -> str:
    return text[: bisect_right(list(accumulate(map(_character, text))), width)]


def _places(widths: Sequence[int], columns: Sequence[Column], room: int | None) -> list[int]:
    """The columns that are shown, by their places."""
    places = list(range(len(columns)))
    for spare in [place for place in reversed(places) if columns[place].spare]:
        least = [min(widths[place], columns[place].least) if columns[place].keep else widths[place] for place in places]
        if room is None or sum(least) + len(_GAP) * (len(least) - 1) <= room:
            break
        places.remove(spare)
    return places


def _fitted(widths: list[int], columns: Sequence[Column], room: int | None) -> list[int]:
    """The widths, of which those that may be cut are made smaller, the widest first, until all is in."""
    if room is None:
        return widths
    widths = list(widths)
    cuttable = [place for place, column in enumerate(columns) if column.keep]
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - room
    while excess > 0 and cuttable:
        widest = max(cuttable, key=lambda place: widths[place] - columns[place].least)
        if widths[widest] <= columns[widest].least:
            break
        widths[widest] -= 1
        excess -= 1
    return widths


def _line(line: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int], screen: Screen) -> str:
    left, shown = screen.width, []
    for gap, (text, style) in zip(_gaps(), _padded(line, columns, widths, screen), strict=False):
        if left is not None:
            text = screen.cut(text, max(0, left - len(gap)), "start")
            left -= len(gap) + width_of(text)
        shown.append(gap * bool(text) + screen.styled(text, style))
    return "".join(shown).rstrip()


def _gaps() -> Iterator[str]:
    yield ""
    while True:
        yield _GAP


def _padded(
    line: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int], screen: Screen
) -> Iterator[tuple[str, Style]]:
    last = len(columns) - 1
    for place, (cell, column, width) in enumerate(zip(line, columns, widths, strict=True)):
        text = screen.cut(cell.text, width, column.keep or "start")
        blanks = " " * (width - width_of(text))
        if column.right:
            yield blanks + text, cell.style
        else:
            yield text + ("" if place == last else blanks), cell.style
