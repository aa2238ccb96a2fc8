"""Signing in and out, from bytes to bytes, and what is refused there."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from farmkit.memory_http import Answer, Browser, bearer, request
from sccachedist.auth.clients import BELIEVED_SECS, SharedClientToken, digest_of
from sccachedist.auth.named_clients import NamedClientTokens
from sccachedist.auth.roster import Roster
from sccachedist.budgets import Party
from sccachedist.config import AdminSettings, ClientSettings, TokenSettings, ViewFor, WebSettings
from sccachedist.records.documents import MeDocument
from sccachedist.scheduler.attempts import ATTEMPTS_SECS, MOST_ATTEMPTS
from sccachedist.scheduler.sessions import SESSION_SECS
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted
from tests.support.documents import document
from tests.support.readers import ADMIN, ANN, CLIENT, VIEWER, Entrance

PROXY, STRANGER = "10.9.0.1", "192.0.2.1"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
HTTPS = {"X-Forwarded-Proto": "https"}


class Page(Entrance):
    """A browser in front of a farm."""

    def ask(self, method: str, path: str, body: bytes = b"", sender: str = "127.0.0.1", headers: Any = None) -> Answer:
        clock = Clock()
        site = Site(Mounted(self.sign_in), clock)
        return Browser(site, clock).ask(request(method, path, body, {"Host": "farm", **(headers or {})}), sender)

    def login(self, token: str, sender: str = "127.0.0.1", **headers: str) -> Answer:
        return self.ask("POST", "/login", urlencode({"token": token}).encode(), sender, {**FORM, **headers})

    def me(self, cookie: str = "", sender: str = "127.0.0.1", **headers: str) -> tuple[Any, Any]:
        shown = {"Cookie": cookie} if cookie else {}
        said = document(self.ask("GET", "/api/v1/farm/me", b"", sender, {**shown, **headers}), MeDocument)
        return said["role"], said["name"]


def cookie_of(answer: Answer) -> str:
    assert (answer.status, answer.body, answer.headers["cache-control"]) == (204, b"", "no-store")
    return answer.headers["set-cookie"].partition(";")[0]


@pytest.mark.parametrize(
    ("token", "who"),
    [
        (CLIENT, ("client", "127.0.0.1")),
        (VIEWER, ("viewer", "viewer")),
        (ADMIN, ("administrator", "administrator")),
        (ANN, ("administrator", "ann")),
    ],
)
def test_sessions(token: str, who: tuple[str, str]) -> None:
    """A token by form gives a session that is as good as the token, until it ends."""
    page = Page()
    cookie = cookie_of(page.login(token))
    assert page.me(cookie) == page.me(**bearer(token)) == who
    page.time += SESSION_SECS - 1
    assert page.me(cookie) == who
    page.time += 1
    assert page.me(cookie) == ("anyone", None)
    assert Page(pepper=b"another").me(cookie) == ("anyone", None)
    assert token not in cookie


def test_signing_out() -> None:
    """The browser forgets the session."""
    page = Page()
    cookie = cookie_of(page.ask("POST", "/logout"))
    assert cookie == "sccachedist="
    assert "Max-Age=0" in page.ask("POST", "/logout").headers["set-cookie"]
    assert page.me(cookie) == ("anyone", None)


def test_me() -> None:
    """What the page needs first: who one is, how the farm is called, who may look."""
    page = Page(WebSettings(title="<b>ours</b>", view=ViewFor.VIEWERS))
    assert json.loads(page.ask("GET", "/api/v1/farm/me").body) == {
        "v": 1,
        "role": "anyone",
        "name": None,
        "title": "<b>ours</b>",
        "view": "viewers",
    }
    assert page.ask("GET", "/api/v1/farm/me", headers=bearer("wrong")).status == 401


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"token=wrong", FORM, 401),
        (b"token=", FORM, 401),
        (b"", FORM, 401),
        (b"token=a%0d%0ab", FORM, 401),
        (b"token=%ed%a0%80", FORM, 400),
        (b"token=\xff", FORM, 400),
        (b"token", FORM, 400),
        (b"token=clienttok&token=clienttok", FORM, 400),
        (b"token=clienttok&as=admin", FORM, 400),
        (b"token=clienttok", {}, 400),
        (b'{"token": "clienttok"}', {"Content-Type": "application/json"}, 400),
        (b"token=" + b"x" * 20_000, FORM, 500),
    ],
)
def test_what_is_no_sign_in(body: bytes, headers: dict[str, str], status: int) -> None:
    """It is refused with a sentence, and nothing of it comes back."""
    answer = Page().ask("POST", "/login", body, headers=headers)
    assert answer.status == status
    assert json.loads(answer.body)["description"]
    assert "set-cookie" not in answer.headers
    assert b"clienttok" not in answer.body


def test_too_many_tries() -> None:
    """Ten in a minute from one network, then one waits, even with the right token; others do not."""
    page = Page()
    assert {page.login(f"guess {number}", STRANGER).status for number in range(MOST_ATTEMPTS)} == {401}
    limited = page.login(CLIENT, STRANGER)
    assert (limited.status, limited.headers["retry-after"]) == (429, f"{ATTEMPTS_SECS:.0f}")
    assert page.login(CLIENT, PROXY, **{"X-Real-IP": STRANGER}).status == 429
    assert page.login(CLIENT, "192.0.2.2").status == 204
    page.time += ATTEMPTS_SECS
    assert page.login(CLIENT, STRANGER).status == 204


def test_an_address_of_v6_is_a_network() -> None:
    """One host has 2^64 addresses there, and no more tries for it."""
    page = Page()
    tries = [page.login("guess", PROXY, **{"X-Real-IP": f"2001:db8::{number:x}"}).status for number in range(12)]
    assert tries == [401] * 10 + [429] * 2


def test_a_thousand_sign_ins() -> None:
    """They cost no memory, and nothing that is secret is logged."""
    page = Page()
    with capturedLogs() as logged:
        sessions = {cookie_of(page.login(ANN)) for _ in range(1000)}
        assert {page.login("almost " + ANN, "192.0.2.7").status for _ in range(1000)} == {401, 429}
    assert len(sessions) == 1
    assert 2 <= len([event for event in logged if event["log_level"].name != "debug"]) < 20
    secrets = (ANN, CLIENT, sessions.pop().partition("=")[2])
    assert not [secret for secret in secrets if secret in repr(logged)]


@pytest.mark.parametrize("token", [ADMIN, ANN])
@pytest.mark.parametrize(
    ("headers", "sender", "web", "status"),
    [
        ({}, STRANGER, {}, 403),
        (HTTPS, STRANGER, {}, 403),
        ({"X-Forwarded-Proto": "http"}, PROXY, {}, 403),
        ({}, STRANGER, {"plain_http": True}, 204),
        (HTTPS, PROXY, {}, 204),
        ({}, "127.0.0.1", {}, 204),
    ],
)
def test_administrators_in_clear(
    token: str, headers: dict[str, str], sender: str, web: dict[str, Any], status: int
) -> None:
    """An administrator does not sign in through a network in clear, unless the configuration says so."""
    page = Page(WebSettings(**web))
    answer = page.login(token, sender, **headers)
    assert answer.status == status
    assert status == 204 or b"[tls]" in answer.body
    assert page.login(VIEWER, STRANGER).status == 204


@pytest.mark.parametrize("path", ["/login", "/logout"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://elsewhere"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://farm"}, 204),
        ({"Sec-Fetch-Site": "same-origin"}, 204),
        ({}, 204),
    ],
)
def test_other_sites(path: str, headers: dict[str, str], status: int) -> None:
    """Another site in the same browser signs its user neither in nor out."""
    answer = Page().ask("POST", path, b"token=clienttok", headers={**FORM, **headers})
    assert answer.status == status
    assert ("set-cookie" in answer.headers) is (status == 204)


def test_over_tls() -> None:
    """There the cookie is one that only this very host can have set, and that leaves over TLS alone."""
    page = Page(tls=True)
    given = page.login(ANN, STRANGER)
    cookie = cookie_of(given)
    assert given.headers["set-cookie"].endswith("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure")
    assert cookie.startswith("__Host-sccachedist=")
    assert page.me(cookie) == ("administrator", "ann")
    assert page.me(cookie.removeprefix("__Host-")) == ("anyone", None)


def test_tokens_that_others_check() -> None:
    """One is believed for a while, and no longer than the token."""

    class Lasting:
        secs = 50.0

        async def check(self, token: str | None, sender: object) -> Any:
            assert token == "a.b.c"
            return Party("#0123456789abcdef@127.0.0.1")

        def believed_secs(self, token: str, now: float) -> float:
            return self.secs

    page = Page(clients=Lasting(), client_digest="chance")
    cookie = cookie_of(page.login("a.b.c"))
    assert page.me(cookie)[0] == "client"
    page.time += 50
    assert page.me(cookie)[0] == "anyone"
    Lasting.secs = BELIEVED_SECS
    assert "Max-Age=3600" in page.login("a.b.c").headers["set-cookie"]
    assert Page(client_digest="another", time=page.time).me(cookie_of(page.login("a.b.c")))[0] == "anyone"


def test_users_of_a_proxy() -> None:
    """A trusted proxy says who has signed in there; a session of ours goes before that."""
    page = Page(WebSettings(user_header="x-forwarded-user"))
    assert page.me(sender=PROXY, **{"X-Forwarded-User": "carl"}) == ("viewer", "carl")
    assert page.me(sender=PROXY, **{"X-Forwarded-User": "ann"}) == ("administrator", "ann")
    assert page.me(sender=PROXY, **{"X-Forwarded-User": "administrator"}) == ("viewer", "administrator")
    assert page.me(sender=STRANGER, **{"X-Forwarded-User": "ann"}) == ("anyone", None)
    cookie = cookie_of(page.login(ADMIN, PROXY))
    assert page.me(cookie, PROXY, **{"X-Forwarded-User": "carl"}) == ("administrator", "administrator")
    assert Page(WebSettings(), AdminSettings()).me(sender=PROXY, **{"X-Forwarded-User": "ann"}) == ("anyone", None)


def test_a_client_with_a_name() -> None:
    """It is called by its name, and told if its token has ended."""
    names = {
        "ann": ClientSettings(tokens=(TokenSettings(digest_of("new")), TokenSettings(digest_of("old"), until=0.0)))
    }
    page = Page(
        clients=NamedClientTokens(Roster(names), SharedClientToken(CLIENT), lambda: 0.0), knows=names.__contains__
    )
    assert page.me(cookie_of(page.login("new"))) == ("client", "ann")
    assert page.me(cookie_of(page.login(CLIENT))) == ("client", "127.0.0.1")
    refused = page.login("old")
    assert refused.status == 401
    assert b"the token of ann ended on 1970-01-01" in refused.body
