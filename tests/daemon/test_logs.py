"""What gets into the log, by ``SCCACHE_LOG``."""

import math
from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, eventAsText
from twisted.python.failure import Failure

from sccachedist.daemon import logs
from sccachedist.daemon.logs import (
    LINES_PER_KIND,
    LONGEST_FIELD,
    QUIET_SECS,
    Allowance,
    Logger,
    QuietLog,
    bound_lines,
    choose_levels,
)

ALL = (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical)


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither an earlier test's bounds nor this one's levels hold on."""
    for allowance in ("_allowance", "_debug_allowance"):
        monkeypatch.setattr(logs, allowance, Allowance(math.inf, math.inf))
    yield
    choose_levels("")


def least_logged(namespace: str) -> str:
    """The lowest level at which a module logs."""
    log = Logger(namespace)
    with capturedLogs() as events:
        for level in ALL:
            log.emit(level, "something happened")
    logged = [event["log_level"] for event in events]
    assert logged == list(ALL[-len(logged) :])
    return str(logged[0].name)


@pytest.mark.parametrize(
    ("directives", "scheduler", "routes", "server"),
    [
        ("", "info", "info", "info"),
        ("error", "error", "error", "error"),
        ("warn", "warn", "warn", "warn"),
        ("info", "info", "info", "info"),
        ("debug", "debug", "debug", "debug"),
        ("trace", "debug", "debug", "debug"),
        ("DEBUG", "debug", "debug", "debug"),
        ("sccachedist.scheduler=debug", "debug", "debug", "info"),
        ("warn,sccachedist.server=trace", "warn", "warn", "debug"),
        (" sccachedist.scheduler.routes=error , debug,", "debug", "error", "debug"),
        ("sccache::dist=trace,hyper=warn", "info", "info", "info"),
        ("error,debug", "debug", "debug", "debug"),
    ],
)
def test_levels(directives: str, scheduler: str, routes: str, server: str) -> None:
    """One level for all, and others for some modules and those below them; other programs' modules do no harm."""
    choose_levels(directives)
    modules = ("sccachedist.scheduler", "sccachedist.scheduler.routes", "sccachedist.server.jobs")
    assert [least_logged(module) for module in modules] == [scheduler, routes, server]


@pytest.mark.parametrize("directive", ["loud", "sccachedist", "a=b=c", "sccachedist=", "=", "{}", "7"])
def test_directive_that_is_not_understood(directive: str) -> None:
    """It is one line in the log, also where only errors are asked for; what stands beside it counts."""
    with capturedLogs() as events:
        choose_levels(f"error,{directive}")
    assert [(event["log_level"], event["given"]) for event in events] == [(LogLevel.warn, directive)]
    assert least_logged("sccachedist") == "error"


def test_dropped_before_it_is_told() -> None:
    """What is not wanted reaches no observer, which might be slow."""
    choose_levels("error")
    with capturedLogs() as events:
        Logger().info("{never}", never=object())
    assert events == []


def test_named_by_module() -> None:
    """A module's logger has its name, by which it is chosen."""
    assert Logger().namespace == __name__


def logged(format_: str, **fields: object) -> str:
    """A line as it comes to be in a log."""
    with capturedLogs() as events:
        Logger().info(format_, **fields)
    (event,) = events
    return eventAsText(event, includeTimestamp=False, includeSystem=False)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/a\nb", r"/a\nb"),
        (b"\x1b[2J", r"b'\x1b[2J'"),
        (ValueError("\x9b\u202e"), r"\x9b\u202e"),
        (["\n"], r"['\n']"),
        ("x" * 9999, "x" * LONGEST_FIELD + "... (9999 characters)"),
        (7, "7"),
        (None, "None"),
    ],
)
def test_text_of_strangers(value: object, shown: str) -> None:
    """What a stranger says neither begins a line of its own, nor moves a cursor, nor fills a disk."""
    assert logged("said: {value}", value=value) == f"said: {shown}"


def test_numbers() -> None:
    """Numbers are formatted as they are."""
    assert logged("{seconds:.3f} s", seconds=1.5) == "1.500 s"


@pytest.mark.parametrize(("text", "shown"), [("two\nlines \x1b", r"two\nlines \x1b"), ("x" * 9999, " characters)")])
def test_failures_with_text_of_strangers(text: str, shown: str) -> None:
    """Of an unforeseen error the traceback is logged, and what a stranger has in its text is escaped and cut."""
    with capturedLogs() as events:
        try:
            raise KeyError(ValueError(text)) if "\n" not in text else ValueError(text)
        except (KeyError, ValueError):
            Logger().failure("unforeseen")
    (event,) = events
    assert isinstance(event["log_failure"], Failure)
    written = eventAsText(event)
    assert text not in written
    assert shown in written
    assert "test_failures_with_text_of_strangers" in written


def test_failures() -> None:
    """Other errors are what they are."""
    with capturedLogs() as events:
        Logger().failure("unforeseen", Failure(ValueError("plain")))
    assert events[0]["log_failure"].check(ValueError)


def test_told_a_few_times() -> None:
    """Of what happens often some are told, then how many there were; at debug all are told."""
    clock, log = Clock(), Logger()
    quiet = QuietLog(clock.seconds)

    def tell(times: int, kind: str) -> list[str]:
        with capturedLogs() as events:
            for number in range(times):
                quiet.tell(log, LogLevel.warn, kind, "{number}", number=number)
        return [str(eventAsText(event, includeTimestamp=False, includeSystem=False)) for event in events]

    few = [str(number) for number in range(LINES_PER_KIND)]
    assert tell(1000, "a") == few
    assert tell(1, "b") == ["0"]
    clock.advance(QUIET_SECS)
    more = f"0, and {1000 - LINES_PER_KIND} more times since it was last told"
    assert tell(1000, "a") == [more, *few[1:]]
    assert tell(LINES_PER_KIND, "b") == few
    choose_levels("debug")
    assert len(tell(1000, "a")) == 1000


def test_lines_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written in a second is bounded, whatever causes it; how much was left out is told when there is room."""
    bound_lines()
    clock = Clock()
    monkeypatch.setattr(logs, "_allowance", Allowance(10, 2, clock.seconds))
    with capturedLogs() as events:
        for _ in range(100):
            Logger().warn("a stranger was here")
        clock.advance(1)
        Logger().info("there is room")
    told = [eventAsText(event, includeTimestamp=False, includeSystem=False) for event in events]
    assert told == ["a stranger was here"] * 10 + ["90 lines were left out of this log", "there is room"]


def test_debug_takes_nothing_from_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of what only ``debug`` tells leaves room for warnings."""
    choose_levels("debug")
    monkeypatch.setattr(logs, "_debug_allowance", Allowance(10, 2, Clock().seconds))
    with capturedLogs() as events:
        for _ in range(100):
            Logger().debug("a stranger was here")
        Logger().warn("heed this")
    assert [event["log_level"] for event in events] == [LogLevel.debug] * 10 + [LogLevel.warn]
