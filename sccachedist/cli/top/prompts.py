"""What ``top`` shows over its tables: a question before something is done, and the details of a row.

Texts are shown as they are: nothing in them is markup.
"""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class Confirmation(ModalScreen[str | None]):
    """Says what would be done and asks whether it shall, and why; its result is the reason, None if it shall not."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "nothing")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """A box with the text, the field and the keys."""
        with Vertical(classes="box"):
            yield Static(self._text, markup=False)
            yield Input(placeholder="reason, if you like", max_length=200, id="reason")
            yield Static("Enter: do it   Esc: do nothing", classes="keys", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter, in the field: it shall be done."""
        event.stop()
        self.dismiss(event.value.strip())

    def action_nothing(self) -> None:
        """It shall not."""
        self.dismiss(None)


class Details(ModalScreen[None]):
    """A text that may be longer than the terminal."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "dismiss")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """A box to scroll in."""
        with VerticalScroll(classes="box"):
            yield Static(self._text, markup=False)
            yield Static("\nEsc: back", classes="keys", markup=False)
