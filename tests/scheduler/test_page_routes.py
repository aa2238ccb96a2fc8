"""The files of the page, from bytes to bytes."""

import gzip
import json
import re

import pytest
from twisted.internet.task import Clock

from farmkit.memory_http import Answer, Browser, request
from sccachedist.outcomes import Outcome, SentLocal
from sccachedist.scheduler.page_routes import FOLDER, PageFiles, PageRoutes, words_module
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted

FILES = PageFiles.read()


def ask(path: str, method: str = "GET", **headers: str) -> Answer:
    clock = Clock()
    return Browser(Site(Mounted(PageRoutes(FILES)), clock), clock).ask(request(method, path, headers=headers))


def test_index() -> None:
    """It is asked for each time, and names the folder of the others as it is now."""
    answer = ask("/")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-cache"
    named = re.findall(rb'(?:href|src)="(static/[^"]+)"', answer.body)
    assert len(named) == 3
    assert {ask(f"/{name.decode()}").status for name in named} == {200}


@pytest.mark.parametrize("path", ["/", f"/static/{FILES.bundle}/app.js"])
def test_headers(path: str) -> None:
    """Nothing from elsewhere is loaded or run, nobody shows the page in theirs, and nobody learns where one was."""
    headers = ask(path).headers
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("style.css", "text/css; charset=utf-8"),
        ("views/farm.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_files(name: str, media_type: str) -> None:
    """A browser may keep them for ever: another version has another name."""
    answer = ask(f"/static/{FILES.bundle}/{name}")
    assert (answer.status, answer.headers["content-type"]) == (200, media_type)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.body == (FOLDER / name).read_bytes()


@pytest.mark.parametrize("path", ["/", f"/static/{FILES.bundle}/app.js"])
def test_packed(path: str) -> None:
    """It is, to those who say that they take that; a cache knows the two apart."""
    packed, plain = ask(path, **{"Accept-Encoding": "gzip, br"}), ask(path, **{"Accept-Encoding": "gzip;q=0"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.body) == plain.body


def test_head() -> None:
    """Who asks only whether it is there gets no body."""
    assert ask("/", "HEAD").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/0123456789abcdef/app.js",
        f"/static/{FILES.bundle}/index.html",
        f"/static/{FILES.bundle}/../scheduler/core.py",
        f"/static/{FILES.bundle}/%2e%2e/errors.py",
        f"/static/{FILES.bundle}/views",
        "/static/app.js",
        "/static/",
    ],
)
def test_nothing_else(path: str) -> None:
    """What is not of this version of the page is not there."""
    answer = ask(path)
    assert (answer.status, answer.body) == (404, b"no such path, or not with this method\n")


def test_words() -> None:
    """The page says what the vocabulary says."""
    text = words_module().decode()
    words = json.loads(text.removeprefix("export const WORDS = ").removesuffix(";\n"))
    assert words["outcome"]["compiled"] == {"means": Outcome.COMPILED.means, "mend": ""}
    assert words["sent_local"]["sandbox"]["mend"] == SentLocal.SANDBOX.mend
    assert ask(f"/static/{FILES.bundle}/words.js").body.decode() == text
