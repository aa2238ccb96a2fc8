"""Answers that stand in files: sent at the network's pace, and removed whatever happens."""

from pathlib import Path

import pytest
from twisted.internet.interfaces import IConsumer
from twisted.logger import LogLevel, capturedLogs

from farmkit.memory_http import Browser, SlowConnection, request
from sccachedist.web import request as request_module
from tests.web.roles import Role

ASKED = request("POST", "/file", b"0123456789ABCDEF")
WHOLE = b"0123456789ABCDEF" * 5000


@pytest.fixture
def slow(browser: Browser) -> SlowConnection:
    return SlowConnection(browser.site, browser.clock, "127.0.0.1")


def left(role: Role) -> list[Path]:
    return list(role.directory.iterdir())


def test_sent(role: Role, browser: Browser) -> None:
    """A file is sent whole, with its length and type, and is gone; the connection is kept."""
    connection = browser.connect()
    with capturedLogs() as events:
        connection.say(ASKED, request("GET", "/status"))
    assert [event for event in events if event["log_level"] >= LogLevel.warn] == []
    of_file, after = connection.answers()
    assert (of_file.status, of_file.body) == (200, WHOLE)
    assert of_file.headers["content-type"] == "application/octet-stream"
    assert (after.status, left(role)) == (200, [])


def test_sent_as_json(browser: Browser) -> None:
    """A file whose content is JSON is sent as that."""
    answer = browser.ask(request("POST", "/file", b"[]", {"Accept": "application/json"}))
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_at_the_pace_of_the_network(slow: SlowConnection) -> None:
    """No more of a file is read than the network takes."""
    slow.say(ASKED)
    sent = len(slow.value())
    assert sent < len(WHOLE)
    slow.drain()
    slow.drain()
    (answer,) = slow.answers()
    assert answer.body == WHOLE


def test_gone_while_it_is_sent(role: Role, slow: SlowConnection, browser: Browser) -> None:
    """Nothing is left of an answer whose client went away, and no warning is logged."""
    with capturedLogs() as events:
        slow.say(ASKED)
        slow.leave()
        browser.clock.advance(1)
    assert left(role) == []
    assert [event for event in events if event["log_level"] >= LogLevel.warn] == []


def test_broken_while_it_is_sent(slow: SlowConnection, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be read on costs the connection: half an answer is not followed by another one."""

    async def fail(_: object, consumer: IConsumer, _before: bytes) -> None:
        consumer.write(b"a part")
        raise OSError("the disk is broken")

    monkeypatch.setattr(request_module, "send_file", fail)
    slow.say(ASKED)
    browser.clock.advance(0)
    assert not slow.connected
    assert slow.value().endswith(b"\r\n\r\na part")


def test_kept(browser: Browser, role: Role) -> None:
    """A file that is sent again and again stays; what comes before it counts in the length."""
    (role.directory / "kept").write_bytes(WHOLE)
    for before in (b"before ", b""):
        answer = browser.ask(request("POST", "/kept", before))
        assert (answer.status, answer.body) == (200, before + WHOLE)
        assert answer.headers["content-length"] == str(len(before + WHOLE))
    assert role.taken == 2


def test_file_is_gone(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not there is an answer that makes clients compile locally, and no incident."""
    monkeypatch.setattr(Path, "write_bytes", lambda *_: None)
    answer = browser.ask(ASKED)
    assert answer.status == 500
    assert b"No such file or directory" in answer.body
