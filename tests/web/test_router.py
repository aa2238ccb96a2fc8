"""Which requests find a route, and what becomes of errors in one."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.logger import LogLevel, capturedLogs

from farmkit.memory_http import Browser, bearer, request
from sccachedist.daemon.logs import choose_levels
from sccachedist.errors import CompileFailed, PeerError
from sccachedist.outcomes import Suspicion
from sccachedist.wire.messages import SCHEDULER_STATUS, TOOLCHAIN, Toolchain
from tests.web.roles import STATUS, TOKEN, Role, visited

NOWHERE = [
    ("GET", "/"),
    ("GET", "*"),
    ("OPTIONS", "*"),
    ("GET", "/status/"),
    ("GET", "/STATUS"),
    ("GET", "/%73tatus"),
    ("GET", "/x/../status"),
    ("POST", "/status"),
    ("DELETE", "/status"),
    ("OPTIONS", "/status"),
    ("GET", "/upload/7"),
    ("POST", "/upload/"),
    ("POST", "/upload/x"),
    ("POST", "/upload/-1"),
    ("POST", "/upload/+1"),
    ("POST", "/upload/1.0"),
    ("POST", "/upload/18446744073709551616"),
    ("POST", "/upload/000000000000000000001"),
    ("POST", "/upload/%37"),
    ("POST", "/upload/7/"),
    ("GET", "/server/localhost:80"),
    ("GET", "/server/127.0.0.1"),
    ("GET", "/server/127.0.0.1:65536"),
    ("GET", "/server/%31"),
    ("GET", "/" + "x" * 10000),
]


@pytest.mark.parametrize(("method", "path"), NOWHERE)
@pytest.mark.parametrize("body", [b"", b"something"])
def test_nowhere(browser: Browser, method: str, path: str, body: bytes) -> None:
    """An unknown path, another method or an id that is none is a 404 with one line, before any other question."""
    answer = browser.ask(request(method, path, body))
    assert (answer.status, answer.body) == (404, b"no such path, or not with this method\n")


@pytest.mark.parametrize("path", ["/api/v1/scheduler/alloc_jobs", "/api/v1/distserver/run_job/x"])
def test_nowhere_below_published_paths(browser: Browser, path: str) -> None:
    """There it is a 404 without a word, as the published daemons have it."""
    answer = browser.ask(request("POST", path, b"something"))
    assert (answer.status, answer.body, answer.headers.get("content-type")) == (404, b"", None)


def test_nowhere_without_a_body(browser: Browser) -> None:
    """The answer to HEAD has no body, whatever its length would be."""
    answer = browser.ask(request("HEAD", "/nowhere"))
    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize("path", ["/status", "/status?", "/status?x=/y&%zz", "//status"])
def test_somewhere(browser: Browser, path: str) -> None:
    """A query changes nothing."""
    assert browser.ask(request("GET", path)).message(SCHEDULER_STATUS) == STATUS


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/octet-stream"])
def test_a_media_type_of_its_own(browser: Browser, accept: str) -> None:
    """A route may answer with what is no message, and does so whatever is accepted."""
    answer = browser.ask(request("GET", "/page", headers={"Accept": accept}))
    assert (answer.status, answer.headers["content-type"], answer.body) == (203, "text/html", b"<p>")


@pytest.mark.parametrize("number", [0, 7, 2**64 - 1])
def test_job_ids(browser: Browser, number: int) -> None:
    """All 64 bits of a job id are understood."""
    answer = browser.ask(request("POST", f"/upload/{number}", headers=bearer(TOKEN)))
    assert answer.message(SCHEDULER_STATUS).num_servers == number


@pytest.mark.parametrize("address", ["127.0.0.1:10501", "[::1]:80"])
def test_addresses(browser: Browser, address: str) -> None:
    """Both kinds of addresses are understood."""
    assert browser.ask(request("GET", f"/server/{address}")).message(TOOLCHAIN) == Toolchain(address)


@pytest.mark.parametrize(
    "host", ["farm.example", "", "\xff\xfe", "x" * 300 + ".example", "..", "a b", "[::1", "\xfcx:y"]
)
def test_any_host(browser: Browser, host: str) -> None:
    """It does not matter by what name we are called."""
    assert browser.ask(request("GET", "/status", headers={"Host": host})).message(SCHEDULER_STATUS) == STATUS


def test_head(browser: Browser) -> None:
    """HEAD is answered like GET, without the body."""
    connection = browser.connect()
    connection.say(request("HEAD", "/status"), request("HEAD", "/elsewhere"))
    status, elsewhere = connection.answers(head=True)
    assert (status.status, status.headers["content-length"], elsewhere.status) == (200, "24", 404)


def test_refusal_in_a_route(role: Role, browser: Browser) -> None:
    """An error of ours in a route is answered by the table, and the connection goes on."""
    role.error = PeerError("the build server is silent")
    connection = browser.connect()
    connection.say(request("GET", "/status"))
    role.error = None
    connection.say(request("GET", "/status"))
    first, second = connection.answers()
    assert (first.status, first.body) == (500, b'{"description":"the build server is silent","cause":null}')
    assert second.status == 200


def test_a_long_path_in_the_log(browser: Browser) -> None:
    """As much of it is logged as shows what it is."""
    choose_levels("debug")
    with capturedLogs() as events:
        browser.ask(request("GET", "/" + "x" * 10000))
    choose_levels("")
    assert {len(event["path"]) < 250 for event in events if "path" in event} == {True}


@pytest.mark.parametrize("routine", [False, True])
def test_a_refusal_in_the_log(role: Role, browser: Browser, *, routine: bool) -> None:
    """It is one line, which those alone see who look closely where it belongs to any day's work."""
    role.error = CompileFailed(Suspicion.VERIFY if routine else Suspicion.NO_MEMORY, "a compile failed")
    choose_levels("debug")
    with capturedLogs() as events:
        browser.ask(request("GET", "/status"))
    choose_levels("")
    levels = [event["log_level"] for event in events if event.get("error") == "a compile failed"]
    assert levels == [LogLevel.debug if routine else LogLevel.info]


@pytest.mark.parametrize("error", [RuntimeError("{secret} of ours"), KeyError("x"), RecursionError()])
def test_incident(role: Role, browser: Browser, error: Exception) -> None:
    """What nobody foresaw is a 500 whose number is in the log, where the rest is; the sender learns no more."""
    role.error = error
    with capturedLogs() as events:
        answer = browser.ask(request("GET", "/status"))
    (incident,) = [event for event in events if "incident" in event]
    assert (answer.status, answer.headers["content-type"]) == (500, "application/json; charset=utf-8")
    number = incident["incident"]
    assert answer.body == b'{"description":"internal error, incident %b","cause":null}' % number.encode()
    assert incident["log_failure"].value is error


def test_incident_at_the_headers(role: Role, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is what goes wrong before the body has come, and while it comes."""
    for place in ("admit", "write"):
        connection = browser.connect()
        with monkeypatch.context() as patched, capturedLogs() as events:
            if place == "admit":
                patched.setattr(role.api, "admit", lambda *_: 1 // 0)
            else:
                patched.setattr("tests.web.roles.RecordedBody.write", lambda *_: 1 // 0)
            connection.say(request("POST", "/upload/7", b"x", bearer(TOKEN)))
        (answer,) = connection.answers()
        assert answer.status == 500
        assert [event["incident"] in answer.body.decode() for event in events if "incident" in event] == [True]


def test_no_secret_in_the_log(role: Role, browser: Browser) -> None:
    """Whatever happens to a request, its token is not written down."""
    with capturedLogs() as events:
        role.error = RuntimeError("oh")
        for path in ("/status", "/elsewhere", "/echo"):
            browser.ask(request("POST" if path == "/echo" else "GET", path, headers=bearer(TOKEN)))
    assert len(events) >= 3
    assert TOKEN not in repr(events)
    assert TOKEN not in repr(role.bodies)


# Text as a request line and a header can carry it.
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), min_size=1, max_size=30)
METHODS = st.sampled_from(["GET", "POST", "HEAD", "PUT", "OPTIONS"]) | WORDS
PATHS = st.sampled_from(
    ["/status", "/echo", "/upload/7", "/file", "/server/127.0.0.1:1", "*", "http://x/"]
) | WORDS.map("/{}".format)
NAMES = st.sampled_from(
    ["Accept", "Host", "Content-Type", "Authorization", "Expect", "Cookie", "Connection", "X-Real-IP", "If-None-Match"]
)
VALUES = st.sampled_from(["text/html", "application/json", f"Bearer {TOKEN}", "application/octet-stream"]) | WORDS
CUT = st.integers(0, 200)


@given(METHODS, PATHS, st.dictionaries(NAMES, VALUES, max_size=4), st.binary(max_size=100), CUT)
@example("GET", "/status", {"Host": "\xff"}, b"", 0)
@example("POST", "/echo", {"Content-Type": "multipart/form-data", "Authorization": f"Bearer {TOKEN}"}, b"x", 0)
@example("POST", "/file", {}, b"", 0)
@example("POST", "/file", {"Accept": "text/html"}, b"x", 1)
def test_no_html(method: str, path: str, headers: dict[str, str], body: bytes, cut: int) -> None:
    """Whatever is sent, no answer is HTML, and each has the length that it says."""
    _, browser = visited(Path("/nonexistent"))
    octets = request(method, path, body, headers)
    connection = browser.connect()
    connection.say(octets[:cut], octets[cut:])
    answers = connection.answers(head=method == "HEAD")
    assert len(answers) == 1
    for answer in answers:
        assert "html" not in answer.headers.get("content-type", "")
        assert b"<" not in answer.body
        assert not answer.body or "content-length" in answer.headers


@given(st.binary(max_size=300))
def test_no_html_for_nonsense(octets: bytes) -> None:
    """What is not even HTTP gets no HTML either, and no exception comes of it."""
    _, browser = visited(Path("/nonexistent"))
    connection = browser.connect()
    connection.say(octets, b"\r\n\r\n", octets)
    assert b"<" not in connection.value()
    connection.leave()
