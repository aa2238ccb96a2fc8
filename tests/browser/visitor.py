"""A browser that looks at a farm, and notes what a page must not do."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from farmkit.processes import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize

#: Where pictures of all views are kept, for who wants to look at them, and one of what failed.
PICTURES = Path(__file__).parent / "shown"
CHROMIUM = "/usr/bin/chromium"
#: What keeps it from talking to others than the farm; tests run as root, where its own sandbox does not start.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: What it says of each answer that is an error, whether the page expects it or not.
_LOADING = "Failed to load resource"
_WAIT_MSECS = 20_000
_CHECK = """axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
  .then(({violations}) => violations.map(({id, nodes}) => `${id}: ${nodes.slice(0, 3).map((node) => node.html)}`))"""
#: Sizes of windows.
WIDE: ViewportSize = {"width": 1280, "height": 900}
NARROW: ViewportSize = {"width": 400, "height": 800}


@contextmanager
def chromium() -> Iterator[Browser]:
    """One for a whole module; playwright is there only where the whole suite can run."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@attrs.define
class Visitor:
    """One who looks at a farm, with a context of his own.

    :param url: where the farm's page is.
    :param wrong: what a page has done that none may do.
    :param answers: statuses of errors that this test is about.
    """

    url: str
    context: BrowserContext
    page: Page
    wrong: list[str] = attrs.field(factory=list)
    answers: set[int] = attrs.field(factory=set)

    @classmethod
    @contextmanager
    def of(cls, browser: Browser, url: str, token: str | None = None, **options: Any) -> Iterator[Visitor]:
        """A visitor, who shows a token with each request if there is one; in the end nothing was wrong."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        settings: dict[str, Any] = {"viewport": WIDE, "extra_http_headers": headers}
        context = browser.new_context(**(settings | options))
        context.set_default_timeout(_WAIT_MSECS)
        visitor = cls(url, context, context.new_page())
        visitor._watch()
        try:
            yield visitor
        except BaseException:
            visitor.shows(PICTURES / "failed.png")
            raise
        finally:
            context.close()
        assert visitor.wrong == []

    def _watch(self) -> None:
        host = urlsplit(self.url).netloc
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", lambda message: self._hear(message))
        self.page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        self.page.on(
            "request",
            lambda request: None if urlsplit(request.url).netloc in (host, "") else self.wrong.append(request.url),
        )

    def _hear(self, message: ConsoleMessage) -> None:
        text = message.text
        if message.type not in ("error", "warning"):
            return
        if text.startswith(_LOADING) and any(f"status of {status} " in text for status in self.answers):
            return
        if text.startswith(_LOADING) and 0 in self.answers and "net::ERR_" in text:
            return
        self.wrong.append(f"{text} ({message.location})")

    def go(self, view: str) -> None:
        """Look at a view, and wait until it is there."""
        self.page.goto(f"{self.url}/#/{view}")
        self.holds("document.querySelector('#uptime')?.textContent !== '' || document.querySelector('form')")
        self.holds("document.querySelector('h1')")

    def resize(self, size: ViewportSize) -> None:
        """Make the window as large as this."""
        self.page.set_viewport_size(size)

    def hinders(self) -> list[str]:
        """What keeps people from using the page, as axe finds it, each with some elements."""
        self.page.evaluate((importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text())
        return list(self.page.evaluate(_CHECK))

    def is_too_wide(self) -> bool:
        """Whether the page has to be scrolled sideways."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return width > 0

    def holds(self, expression: str, argument: object = None) -> None:
        """Wait until an expression is true in the page; playwright's own wait is against its policy."""
        wait_until(lambda: bool(self.page.evaluate(expression, argument)), _WAIT_MSECS / 1000, expression)

    def reads(self, selector: str, text: str) -> None:
        """Wait until an element has a text in it."""
        self.page.locator(selector, has_text=text).first.wait_for()

    def linked(self, state: str) -> None:
        """Wait until the page has its news of the farm in this way."""
        self.holds("state => document.querySelector('#live').dataset.link === state", state)

    def text(self, selector: str) -> str:
        """What stands in an element."""
        return self.page.locator(selector).first.inner_text()

    def figure(self, tile: str) -> str:
        """One of the six numbers."""
        return self.text(f"section[aria-label='{tile}'] .figure")

    def shows(self, file: Path) -> None:
        """Keep a picture of the whole page."""
        file.parent.mkdir(exist_ok=True)
        self.page.screenshot(path=file, full_page=True)
