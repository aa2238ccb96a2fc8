"""``top`` on a terminal, by Textual. What is shown is decided in ``tables``, ``header`` and ``looks``.

The scheduler is asked in threads, which do not keep the program from ending: it may take its time to answer.
Names that strangers chose are made fit for a terminal before they come here, and are shown as text without markup.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Protocol, TypeVar

import attrs
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer
from textual.widgets import Footer, Input, Static

from sccachedist.cli.farm.screen import Screen
from sccachedist.cli.top.header import SPARKS, header, tabs
from sccachedist.cli.top.looks import TABS, Ask, TopLook, details, look
from sccachedist.cli.top.orders import Body, asked_about, body_of
from sccachedist.cli.top.prompts import Confirmation, Details
from sccachedist.cli.top.rows import STYLES, Rows
from sccachedist.cli.top.tables import Pieces, TopChoice, lines, titles
from sccachedist.errors import ConfigError, PeerError
from sccachedist.printable import printable

T = TypeVar("T")

_CSS = """
#head { height: 3; }
#tabs { height: 1; }
Rows { height: 1fr; }
#filter { display: none; border: none; height: 1; }
Confirmation, Details { align: center middle; }
.box { width: 90%; max-width: 110; height: auto; max-height: 90%; border: round ansi_blue; padding: 0 1; }
.keys { text-style: dim; }
"""


class Act(Protocol):
    """Has the scheduler do something, or say what it would do."""

    def __call__(self, body: Body, *, preview: bool = False) -> str:
        """:raises PeerError: it is not done."""


class TopApp(App[None]):
    """The farm, as the tables that one can look at.

    :param ask: asks the scheduler for a document; ``act`` has it do something. Both are called in threads.
    :param screen: how texts are made; its width is not looked at.
    """

    CSS = _CSS
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "tab(1)", "Tab", priority=True),
        Binding("shift+tab", "tab(-1)", show=False, priority=True),
        Binding("slash", "filter", "Filter", priority=True),
        Binding("less_than_sign", "sort(-1)", "Sort", key_display="< >"),
        Binding("greater_than_sign", "sort(1)", show=False),
        Binding("r", "reverse", "Reverse"),
        Binding("d", "order('d')", "Drain"),
        Binding("u", "order('u')", "Undrain"),
        Binding("k", "order('k')", "Kill"),
        Binding("p", "pause", "Pause"),
        Binding("enter", "keep_filter", show=False, priority=True),
        Binding("escape", "everything", show=False, priority=True),
        Binding("q", "leave", "Quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(self, ask: Ask, act: Act, screen: Screen) -> None:
        super().__init__(ansi_color=True)
        self._ask, self._act, self._made = ask, act, screen
        self._tab = TABS[0]
        self._choices: dict[str, TopChoice] = {}
        self._seen: TopLook | None = None
        self._used: deque[int] = deque(maxlen=SPARKS)
        self._trouble = ""
        self._paused = self._takes_words = False
        self._looks = 0
        self._next: Timer | None = None

    def compose(self) -> ComposeResult:
        """What is above, the table, the filter, and the keys."""
        yield Static(id="head", markup=False)
        yield Static(id="tabs", markup=False)
        yield Rows()
        yield Input(id="filter", placeholder="words that a row has to contain", select_on_focus=False)
        yield Footer()

    def on_mount(self) -> None:
        """Look for the first time."""
        self.query_one(Rows).focus()
        self._show()
        self._look()

    # Looking

    def _look(self) -> None:
        """Look at what the user wants to see; an answer to an earlier question does not count any more."""
        if self._next is not None:
            self._next.stop()
        self._looks += 1
        mine = self._looks

        def seen(found: TopLook) -> None:
            if mine == self._looks:
                if self._seen is None or self._seen.tab != found.tab:
                    self.query_one(Rows).go_to_the_beginning()
                self._seen, self._trouble = found, ""
                self._used.append(found.status["running"])
                self._then(found.secs)

        def failed(why: str) -> None:
            if mine == self._looks:
                self._trouble = why
                self._then(2.0)

        self._in_background(partial(look, self._ask, self._tab), seen, failed)

    def _then(self, secs: float) -> None:
        """Show what is known, and look again after a while."""
        self._show()
        if not self._paused:
            self._next = self.set_timer(secs, self._look)

    def _in_background(self, work: Callable[[], T], done: Callable[[T], None], failed: Callable[[str], None]) -> None:
        """Do something that takes long, and then go on with its result, or with a line that says why there is none."""

        def run() -> None:
            try:
                result = work()
            except (PeerError, ConfigError) as error:
                after = partial(failed, printable(str(error)))
            except Exception as error:  # a bug: the program is to end with it, and not the thread alone
                after = partial(_raised, error)
            else:
                after = partial(done, result)
            with contextlib.suppress(RuntimeError):  # the program has ended in the meantime
                self.call_later(after)

        threading.Thread(target=run, daemon=True).start()

    # Showing

    @property
    def _choice(self) -> TopChoice:
        """What the user wants to see of the table that is shown."""
        if self._seen is None:
            return TopChoice("")
        return self._choices.get(self._seen.tab) or TopChoice(self._seen.table.first)

    def _screen(self) -> Screen:
        """What texts are made with at this moment."""
        return attrs.evolve(self._made, width=None, now=self._seen.at if self._seen is not None else self._made.now)

    def _show(self) -> None:
        """Show all of it."""
        screen = self._screen()
        above = header(self._seen, tuple(self._used), self._trouble, self._paused, screen)
        self.query_one("#head", Static).update(Text("\n").join(_text(line) for line in above))
        if self._seen is not None:
            self._show_table(self._seen, screen)
        self.query_one("#tabs", Static).update(
            _text(tabs(self._tab, self._choice, len(self.query_one(Rows).lines), screen))
        )

    def _show_table(self, seen: TopLook, screen: Screen) -> None:
        """Show the rows."""
        found = lines(seen.table, seen.rows, self._choice, screen)
        heads = titles(seen.table, self._choice, screen)
        self.query_one(Rows).show(heads, [column.right for column in seen.table.columns], found)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of the tables mean nothing while something is shown over them; Enter and Slash depend on the filter."""
        if action in ("filter", "keep_filter") and isinstance(self.focused, Input) is (action == "filter"):
            return False
        return len(self.screen_stack) == 1 or action == "quit"

    def action_tab(self, step: int) -> None:
        """Look at another table."""
        self._tab = TABS[(TABS.index(self._tab) + step) % len(TABS)]
        self._paused = False
        self._look()
        self._show()

    def action_sort(self, step: int) -> None:
        """Order the rows by another column."""
        if self._seen is not None:
            self._choose(self._choice.beside(self._seen.table, step))

    def action_reverse(self) -> None:
        """Order the rows the other way round."""
        self._choose(attrs.evolve(self._choice, falling=not self._choice.falling))

    def _choose(self, choice: TopChoice) -> None:
        if self._seen is not None:
            self._choices[self._seen.tab] = choice
            self._show()

    # The keys that begin and end the filter have priority: each key after them is for what has the focus then. Those
    # before them may still be on their way to the field.

    def action_filter(self) -> None:
        """Ask for words."""
        field = self.query_one("#filter", Input)
        field.value, field.display, self._takes_words = self._choice.words, True, True
        self.screen.set_focus(field)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show the rows with the words that are there so far."""
        if event.input.id == "filter" and self._takes_words:
            self._choose(attrs.evolve(self._choice, words=event.value))

    def action_keep_filter(self) -> None:
        """Go back to the table; the words stay."""
        self._leave_filter()

    def action_everything(self) -> None:
        """Show all rows again."""
        self._takes_words = False
        self._choose(attrs.evolve(self._choice, words=""))
        self._leave_filter()

    def _leave_filter(self) -> None:
        self.query_one("#filter", Input).display = False
        self.screen.set_focus(self.query_one(Rows))

    def action_leave(self) -> None:
        """End the program."""
        self.exit()

    def action_details(self) -> None:
        """Show all that is known of a row."""
        line = self.query_one(Rows).line
        if line is not None and self._seen is not None:
            self.push_screen(Details(details(self._seen, line.row, attrs.evolve(self._screen(), width=100))))

    def action_pause(self) -> None:
        """Let the tables stand still, or go on."""
        self._paused = not self._paused
        if self._paused:
            if self._next is not None:
                self._next.stop()
            self._show()
        else:
            self._look()

    def action_order(self, key: str) -> None:
        """Ask what the scheduler would do, then the user, then the scheduler to do it."""
        line = self.query_one(Rows).line
        body = body_of(self._seen.tab, key, line.row) if self._seen is not None and line is not None else None
        if body is None:
            self._say("There is nothing here that this key does something to.", failed=True)
            return
        would = partial(self._act, body, preview=True)
        self._in_background(would, partial(self._confirm, body), partial(self._say, failed=True))

    def _confirm(self, body: dict[str, Any], text: str) -> None:
        def answered(reason: str | None) -> None:
            if reason is not None:
                act = partial(self._act, body | ({"reason": reason} if reason else {}))
                self._in_background(act, self._done, partial(self._say, failed=True))

        self.push_screen(Confirmation(asked_about(body, text)), answered)

    def _done(self, text: str) -> None:
        self._say(text)
        self._paused = False
        self._look()

    def _say(self, text: str, *, failed: bool = False) -> None:
        self.notify(text, severity="error" if failed else "information", timeout=8, markup=False)


def _raised(error: Exception) -> None:
    raise error


def _text(pieces: Pieces) -> Text:
    """A line, none of whose pieces is markup."""
    text = Text(no_wrap=True)
    for piece, style in pieces:
        text.append(piece, STYLES[style])
    return text
