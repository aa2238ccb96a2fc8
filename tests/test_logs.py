"""What gets into the log, by ``SCCACHE_LOG``."""

from collections.abc import Iterator

import pytest
from twisted.logger import LogLevel, capturedLogs

from sccachedist.logs import Logger, choose_levels

ALL = (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical)


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
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
    modules = ("sccachedist.scheduler", "sccachedist.scheduler.routes", "sccachedist.server.core")
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
