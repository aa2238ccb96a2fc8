"""The table of ``top`` as a widget: it draws the lines that are to be seen, however many there are.

Textual's own table measures each cell of each row again when some change, which takes seconds with a thousand rows.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from sccachedist.cli.top.tables import TINTS, Pieces, TopLine

STYLES: Mapping[str, str] = {
    "": "",
    "head": "bold",
    "good": "green",
    "warn": "yellow",
    "bad": "bold red",
    "dim": "dim",
    "tab": "bold reverse",
    **dict(zip(TINTS, ("cyan", "magenta", "blue", "green", "yellow", "red"), strict=True)),
}
_GAP = 2
_HEAD, _CURSOR = Style(bold=True, underline=True), Style(reverse=True)


class Rows(ScrollView, can_focus=True):
    """Lines under a head that stays where it is, one of them under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "app.details", "Details"),
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "move_page(-1)", show=False),
        Binding("pagedown", "move_page(1)", show=False),
        Binding("home", "move(-1000000)", show=False),
        Binding("end", "move(1000000)", show=False),
        Binding("left", "app.sort(-1)", show=False),
        Binding("right", "app.sort(1)", show=False),
        Binding("shift+left", "move_view(-10)", show=False),
        Binding("shift+right", "move_view(10)", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.lines: Sequence[TopLine] = ()
        self.titles: Sequence[str] = ()
        self.cursor = 0
        self._right: Sequence[bool] = ()
        self._widths: Sequence[int] = ()

    @property
    def line(self) -> TopLine | None:
        """What the cursor is on."""
        return self.lines[self.cursor] if self.lines else None

    def show(self, titles: Sequence[str], right: Sequence[bool], lines: Sequence[TopLine]) -> None:
        """Show other lines; the cursor stays on the one that it is on, wherever that is now.

        :param right: for each column, whether its cells stand at its right end.
        """
        known = None if self.line is None else self.line.key
        self.titles, self._right, self.lines = titles, right, lines
        cells = [(title, *(_plain(line.cells[place]) for line in lines)) for place, title in enumerate(titles)]
        self._widths = [max(map(cell_len, column)) for column in cells]
        self.virtual_size = Size(sum(self._widths) + _GAP * len(titles), len(lines) + 1)
        place = next((place for place, line in enumerate(lines) if line.key == known), self.cursor)
        self._go_to(place)

    def go_to_the_beginning(self) -> None:
        """Forget where the cursor is: something else is shown next."""
        self.cursor = 0
        self.scroll_to(0, 0, animate=False)

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        self._go_to(self.cursor + step)

    def action_move_page(self, step: int) -> None:
        """Move the cursor by what is to be seen at a time."""
        self._go_to(self.cursor + step * max(1, self._height))

    def action_move_view(self, columns: int) -> None:
        """See what is further to the left or to the right."""
        self.scroll_relative(x=columns, animate=False)

    def on_click(self, event: Click) -> None:
        """Move the cursor to where it was clicked."""
        if event.y > 0:
            self._go_to(event.y - 1 + self.scroll_offset.y)

    @property
    def _height(self) -> int:
        """How many lines are to be seen."""
        return self.scrollable_content_region.height - 1

    def _go_to(self, place: int) -> None:
        self.cursor = max(0, min(place, len(self.lines) - 1))
        top = self.scroll_offset.y
        if not top <= self.cursor < top + self._height:
            self.scroll_to(y=self.cursor if self.cursor < top else self.cursor - self._height + 1, animate=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """What is in a line of the terminal."""
        left, top = self.scroll_offset
        place = y - 1 + top
        strip = Strip.blank(0)
        if y == 0:
            strip = self._strip([((title, ""),) for title in self.titles], _HEAD)
        elif place < len(self.lines):
            strip = self._strip(self.lines[place].cells, _CURSOR if place == self.cursor else Style.null())
        return strip.crop_extend(left, left + self.size.width, self.rich_style).apply_style(self.rich_style)

    def _strip(self, cells: Sequence[Pieces], style: Style) -> Strip:
        """Some cells, each as wide as its column."""
        text = Text(style=style, no_wrap=True, end="")
        for cell, width, right in zip(cells, self._widths, self._right, strict=True):
            blanks = " " * (width - cell_len(_plain(cell)))
            text.append(" " + blanks * right)
            for piece, name in cell:
                text.append(piece, STYLES[name])
            text.append(blanks * (not right) + " " * (_GAP - 1))
        return Strip(text.render(self.app.console))


def _plain(cell: Pieces) -> str:
    return "".join(text for text, _ in cell)
