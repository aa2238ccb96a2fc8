"""What one sees on the page of a farm, and what can be done there. It needs root, for the disk."""

import json
import re
from contextlib import ExitStack
from typing import Any

import pytest

from farmkit.processes import wait_until
from tests.browser.conftest import ADMIN, VIEWERS, Site, Visit
from tests.browser.visitor import NARROW, PICTURES, WIDE, Visitor

pytestmark = pytest.mark.functional

VIEWS = ["farm", "servers", "slots", "jobs", "clients", "toolchains", "sent-home", "events", "sign-in"]
#: What strangers may call a file, a client, a compiler or a reason.
HOSTILE = "<img src=x onerror=alert(1)><script>alert(1)</script>\u202e\u0007 \u2066" + "x" * 4096 + "</b>\u202e.o"


def answer(visitor: Visitor, path: str) -> Any:
    """A document of the API."""
    return visitor.context.request.get(f"{visitor.url}/api/v1/farm/{path}").json()


def failed_job(visitor: Visitor) -> str:
    """The number of the job that did not compile."""
    (job, *_) = answer(visitor, "jobs?output=broken.o")["jobs"]
    return str(job["id"])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_views(visit: Visit, site: Site, theme: str) -> None:
    """Each can be read by all, in either theme and on a small screen, without scrolling sideways but in tables."""
    with visit(color_scheme=theme) as ann:
        ann.go("farm")
        for view in (*VIEWS, f"jobs/{failed_job(ann)}", f"servers/{site.farm.server_id}"):
            name = re.sub(r"/.*", "-one", view)
            ann.resize(WIDE)
            ann.go(view)
            assert ann.hinders() == [], view
            ann.shows(PICTURES / f"{name}-{theme}-1280.png")
            ann.resize(NARROW)
            assert not ann.is_too_wide(), view
            ann.shows(PICTURES / f"{name}-{theme}-400.png")


def test_numbers_move(visit: Visit, site: Site) -> None:
    """While it compiles, the page shows it without being loaded again."""
    with visit() as ann:
        ann.go("farm")
        ann.linked("live")
        before = ann.figure("Compiles")
        marked = ann.page.evaluate("document.body.dataset.same = 'yes'")
        assert site.compile() == [0] * len(site.project.sources)
        wait_until(lambda: ann.figure("Compiles") != before, 20, "the number moves")
        ann.page.get_by_role("link", name="Jobs").click()
        ann.reads("main td, main th", site.project.sources[-1].with_suffix(".o").name)
        assert ann.page.evaluate("document.body.dataset.same") == marked


def test_a_failed_compile(visit: Visit) -> None:
    """The page of its job says what happened, why, and what mends it."""
    with visit() as ann:
        ann.go(f"jobs/{failed_job(ann)[-10:]}")
        ann.reads("h1", "broken.o")
        ann.reads(".verdict", "sent_local: suspicious, verify")
        ann.reads(".verdict", "The compile failed, and was repeated by the client.")
        ann.reads(".verdict", "What mends it: Mend the source.")
        ann.reads("main th", "compile")


def test_tokens(visit: Visit) -> None:
    """Who shows none is asked for one; a wrong one is refused with a sentence, and the right one opens the farm."""
    with visit(None) as bob:
        bob.answers = {401}
        bob.go("servers")
        bob.reads("h1", "Sign in")
        token = bob.page.get_by_label("Token")
        token.fill("wrong")
        token.press("Enter")
        bob.reads("[role=alert]", "This token is none of this farm.")
        token.fill(ADMIN)
        token.press("Enter")
        bob.reads("#who", "administrator")
        bob.linked("live")
        assert ADMIN not in bob.page.content()
        assert (
            bob.page.evaluate("document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)").count(
                ADMIN
            )
            == 0
        )
        bob.page.get_by_role("button", name="Sign out").click()
        bob.reads("h1", "Sign in")


def test_scheduler_restarts(visit: Visit, site: Site) -> None:
    """A page that has lost its scheduler says so, and is right again when it is back."""
    with visit() as ann:
        ann.answers = {0}
        ann.go("servers")
        ann.linked("live")
        site.farm.scheduler.stop()
        ann.reads("#banner", "Disconnected since")
        site.farm.start_scheduler()
        ann.linked("live")
        wait_until(lambda: site.farm.status().num_servers == 2, 60, "both are registered again")
        for server in (site.farm.server_id, site.second.server_id):
            ann.reads("main tr", str(server))
        assert ann.page.locator("#banner").inner_text() == ""
        assert site.compile("broken.c") == [1]  # the records are new ones


def focus(visitor: Visitor, name: str) -> None:
    """Press Tab until the control of this name has the focus, as one without a mouse does."""
    for _ in range(60):
        visitor.page.keyboard.press("Tab")
        label = "(document.activeElement.ariaLabel || document.activeElement.textContent).trim()"
        if visitor.page.evaluate(label) == name:
            return
    raise AssertionError(f"no control {name!r} can be reached")


def test_drain_by_keyboard(visit: Visit, site: Site) -> None:
    """A build server with a full disk needs attention; it is drained from there without a mouse, and undrained."""
    server = str(site.second.server_id)
    with visit() as ann:
        ann.go("farm")
        with site.disk.full():
            ann.reads(".attention", "says that it is unfit for jobs: the disk of")
            focus(ann, f"Drain {server}")
            ann.page.keyboard.press("Enter")
            ann.reads("dialog", server)
            ann.page.keyboard.type("a new disk")
            ann.page.keyboard.press("Enter")
            ann.reads("dialog button", "Close")
            ann.page.keyboard.press("Enter")
            ann.page.keyboard.press("g")
            ann.page.keyboard.press("s")
            ann.reads("h1", "Servers")
            ann.reads("main tr:has(.draining, .unfit)", "a new disk")
        ann.page.keyboard.press("/")
        ann.page.keyboard.type(server)
        ann.reads("main tr", server)
        focus(ann, f"Undrain {server}")
        ann.page.keyboard.press("Enter")
        ann.reads("dialog", server)
        ann.page.keyboard.press("Enter")
        ann.reads("dialog button", "Close")
        ann.page.keyboard.press("Escape")
        assert [row["drain"] for row in answer(ann, "servers")["servers"]] == [None, None]


def test_one_viewer_too_many(visit: Visit) -> None:
    """All places in the feed are taken: the page asks every ten seconds instead, and says so."""
    with ExitStack() as held:
        *seated, eve = (held.enter_context(visit()) for _ in range(VIEWERS // 2 + 1))
        for visitor in seated:
            visitor.go("farm")
            visitor.linked("live")
        eve.answers = {503}
        eve.go("servers")
        eve.linked("polling")
        eve.reads("#live", "every 10 s")
        assert eve.page.locator("main tbody tr").count() == 2


def hostile(value: Any, key: str = "") -> Any:
    """A document in which strangers have chosen all that they may choose."""
    names = {"client", "output", "detail", "compiler", "version", "why", "name", "about", "text", "by", "mend", "kind"}
    match value:
        case dict():
            return {key: hostile(each, key) for key, each in value.items()}
        case list():
            return [hostile(each) for each in value]
        case _:
            return HOSTILE if key in names else value


def test_hostile_names(visit: Visit, site: Site) -> None:
    """Names that strangers have chosen look odd, and that is all."""
    with visit() as ann:
        job = failed_job(ann)
        ann.answers = {503}
        ann.page.route("**/api/v1/farm/events", lambda route: route.fulfill(status=503, json={"description": "none"}))
        for path in ("status*", "servers*", "jobs**", "clients*", "toolchains*", "notices*"):
            ann.page.route(
                f"**/api/v1/farm/{path}",
                lambda route: route.fulfill(json=hostile(json.loads(route.fetch().body()))),
            )
        for view in (*VIEWS[:-1], f"jobs/{job}", f"servers/{site.farm.server_id}"):
            ann.go(view)
            if view not in ("slots", "farm"):
                ann.reads("main", "\\u202e")
            assert ann.page.locator("main img, main script").count() == 0, view
            assert not re.search("[\u202e\u2066\u0007]", ann.text("body")), view
            for size in (NARROW, WIDE):
                ann.resize(size)
                assert not ann.is_too_wide(), view
        ann.page.unroute_all(behavior="ignoreErrors")


def test_nothing_without_a_policy(visit: Visit) -> None:
    """A script that got into the page after all would not run."""
    with visit() as ann:
        ann.go("farm")
        ann.page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {textContent: 'hacked = 1'}))"
        )
        assert ann.page.evaluate("typeof hacked") == "undefined"
        assert any("Content Security Policy" in each for each in ann.wrong)
        ann.wrong.clear()
