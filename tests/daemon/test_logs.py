"""What gets into the log, by ``SCCACHE_LOG``."""

import math
from collections.abc import Iterator

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, eventAsText
from twisted.python.failure import Failure

from sccachedist.daemon import logs
from sccachedist.daemon.logs import (
    LEFT_OUT_SECS,
    LINES_PER_KIND,
    LINES_PER_PEER,
    LONGEST_FIELD,
    MOST_PEERS,
    MOST_REASONS,
    QUIET_SECS,
    Allowance,
    LineLogger,
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


def test_lines_that_an_operator_has_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take nothing from what other events may be logged."""
    monkeypatch.setattr(logs, "_allowance", Allowance(1, 0))
    with capturedLogs() as events:
        for _ in range(3):
            LineLogger("sccachedist.lines").line("job 7 of 10.0.0.1: compiled", job_id=7)
        Logger("sccachedist.others").warn("a disk is full")
    assert [eventAsText(each, includeTimestamp=False, includeSystem=False) for each in events] == [
        *["job 7 of 10.0.0.1: compiled"] * 3,
        "a disk is full",
    ]
    assert events[0]["job_id"] == 7


def test_fields_of_a_line() -> None:
    """The line is escaped, and what an output of objects shows besides: a client names its files as it likes."""
    with capturedLogs() as events:
        LineLogger("sccachedist.lines").line("made \x1b[2J\n", output="\x1b[2J\n")
    assert (events[0]["line"], events[0]["output"]) == (r"made \x1b[2J\n", r"\x1b[2J\n")


def test_what_is_logged_is_counted() -> None:
    """By level, and without what is dropped."""
    choose_levels("warn")
    before = logs.logged.copy()
    with capturedLogs():
        for level in (*ALL, LogLevel.warn):
            Logger("sccachedist.counted").emit(level, "something happened")
    assert logs.logged - before == {"warn": 2, "error": 1, "critical": 1}


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
    """It is given back; what stands beside it counts."""
    assert choose_levels(f"error,{directive}") == [directive]
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


@attrs.define
class Quiet:
    """A quiet log in simulated time, and what it tells."""

    clock: Clock = attrs.field(factory=Clock)
    log: QuietLog = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.log = QuietLog(self.clock.seconds)

    def tell(self, times: int = 1, kind: str = "kind", by: str = "peer", why: str = "") -> list[str]:
        """The lines for so many events of this kind, peer and reason, one after the other."""
        with capturedLogs() as events:
            for _ in range(times):
                self.log.tell(Logger(), LogLevel.warn, kind, "{by}: {why}", by=by, why=why)
        return [
            str(eventAsText(event | {"by": by, "why": why}, includeTimestamp=False, includeSystem=False))
            for event in events
        ]


def more(times: int) -> str:
    return f", and {times} more times since it was last told"


def test_each_new_reason_of_each_peer_at_once() -> None:
    """What a peer repeats is told once, and then how often it came, every few minutes; a new reason is told at once."""
    quiet = Quiet()
    assert quiet.tell(100, why="refused") == ["peer: refused"]
    assert quiet.tell(100, why="401") == ["peer: 401"]
    assert quiet.tell(100, why="refused") == []
    assert quiet.tell(100, by="other", why="refused") == ["other: refused"]
    quiet.clock.advance(QUIET_SECS)
    assert quiet.tell(100, why="refused") == ["peer: refused" + more(199)]
    assert quiet.tell(1, why="401") == ["peer: 401" + more(99)]


def test_reasons_that_differ_each_time() -> None:
    """However many reasons a peer has, a few lines are told of it in each while."""
    quiet = Quiet()

    def tell(count: int) -> list[str]:
        return [line for number in range(count) for line in quiet.tell(why=str(number))]

    assert tell(1000) == [f"peer: {number}" for number in range(LINES_PER_PEER)]
    quiet.clock.advance(2 * QUIET_SECS)
    assert quiet.tell(why="last") == ["peer: last" + more(1000 - LINES_PER_PEER)]


def test_reasons_without_end() -> None:
    """However many reasons a peer has in the long run, few are remembered."""
    quiet = Quiet()
    for number in range(2 * MOST_REASONS):
        assert quiet.tell(why=str(number)) == [f"peer: {number}"]
        quiet.clock.advance(QUIET_SECS)
    (peer,) = quiet.log._peers.values()
    assert len(peer.reasons) == MOST_REASONS


def test_peers_without_end() -> None:
    """However many peers there are, a few lines are told of a kind in each while, and few peers are remembered."""
    quiet = Quiet()
    told = [line for number in range(2 * MOST_PEERS) for line in quiet.tell(by=str(number))]
    assert len(told) == LINES_PER_KIND
    assert quiet.tell(kind="another") == ["peer: "]
    quiet.clock.advance(2 * QUIET_SECS)
    assert quiet.tell(by="last") == ["last: " + more(2 * MOST_PEERS - LINES_PER_KIND)]
    assert len(quiet.log._peers) == MOST_PEERS


def test_what_was_over_is_told_again() -> None:
    """What ended and begins again is told at once, but not without end."""
    quiet = Quiet()
    told = []
    for _ in range(1000):
        told += quiet.tell(3, why="refused")
        quiet.log.forget("kind", "peer")
    assert told == ["peer: refused"] * LINES_PER_PEER
    quiet.log.forget("never told")


def test_all_is_told_at_debug() -> None:
    """Who asks for details gets each event."""
    quiet = Quiet()
    choose_levels("debug")
    assert len(quiet.tell(1000)) == 1000


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


def test_a_flood_that_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is room for a line now and then, and some are left out between any two: that is told a few times."""
    clock = Clock()
    monkeypatch.setattr(logs, "_allowance", Allowance(10, 2, clock.seconds))
    with capturedLogs() as events:
        for _ in range(600):
            clock.advance(0.1)
            Logger().warn("a stranger was here")
    told = [eventAsText(event, includeTimestamp=False, includeSystem=False) for event in events]
    notices = [line for line in told if line.endswith("left out of this log")]
    assert 2 <= len(notices) <= 60 / LEFT_OUT_SECS, notices
    untold = logs._allowance.left_out
    assert len(told) - len(notices) + sum(int(line.split()[0]) for line in notices) + untold == 600


def test_what_a_process_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger fills no disk: some thousands of lines at once are too many, at ``debug`` some ten thousands."""
    for name in ("_allowance", "_debug_allowance"):
        monkeypatch.setattr(logs, name, getattr(logs, name))
    choose_levels("debug")
    bound_lines()
    assert sum(logs._allowance.allows_one_more() for _ in range(50_000)) < 5_000
    assert sum(logs._debug_allowance.allows_one_more() for _ in range(50_000)) < 20_000


def test_debug_takes_nothing_from_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of what only ``debug`` tells leaves room for warnings."""
    choose_levels("debug")
    monkeypatch.setattr(logs, "_debug_allowance", Allowance(10, 2, Clock().seconds))
    with capturedLogs() as events:
        for _ in range(100):
            Logger().debug("a stranger was here")
        Logger().warn("heed this")
    assert [event["log_level"] for event in events] == [LogLevel.debug] * 10 + [LogLevel.warn]
