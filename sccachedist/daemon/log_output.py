"""Where a daemon's log goes, and in which form: ``twistd`` says where, ``[log]`` of the configuration says which.

A file is opened for appending, and opened again as soon as its name means another file, so other programs may rotate it
in any way. The journal has a clock of its own and wants a priority before each line. What is logged is decided in
:mod:`sccachedist.daemon.logs`.
"""

import json
import os
import sys
import syslog
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    eventAsText,
    formatEvent,
    formatEventAsClassicLogText,
    formatTime,
)
from zope.interface import implementer

from sccachedist.config import LogFormat
from sccachedist.daemon.logs import LINE_FORMAT
from sccachedist.errors import ConfigError

#: What syslog and the journal call the levels.
_PRIORITIES = {
    LogLevel.debug: syslog.LOG_DEBUG,
    LogLevel.info: syslog.LOG_INFO,
    LogLevel.warn: syslog.LOG_WARNING,
    LogLevel.error: syslog.LOG_ERR,
    LogLevel.critical: syslog.LOG_CRIT,
}
#: How Twisted's line begins that says that it cannot keep a list of plugins; it does without.
_ABOUT_PLUGINS = "Unable to write to plugin cache"
_PLAIN = (str, bool, int, float, type(None))


class LogFile:
    """A log file that other programs may rename, remove or truncate at any time.

    :raises ConfigError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()  # twistd may change its directory
        try:
            self._descriptor = self._opened()
        except OSError as error:
            raise ConfigError(f"--logfile {self._path}: {error.strerror}") from error

    def write(self, text: str) -> None:
        """Append to the file that has the name now."""
        if not self._is_current():
            self.reopen()
        os.write(self._descriptor, text.encode(errors="backslashreplace"))

    def reopen(self) -> None:
        """Open the file by its name again. If that fails, what was open before stays."""
        try:
            opened = self._opened()
        except OSError:
            return
        os.close(self._descriptor)
        self._descriptor = opened

    def close(self) -> None:
        """Write no more."""
        os.close(self._descriptor)

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except OSError:
            return False

    def _opened(self) -> int:
        """A pipe without a reader is an error: a daemon that waited for one would serve no client."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        os.set_blocking(descriptor, True)
        return descriptor


class _Output(Protocol):
    """Takes an event that is to be written."""

    def __call__(self, event: LogEvent, /) -> None: ...


@implementer(ILogObserver)
class LogOutput:
    """Writes a log.

    :param file: the log file; None if it is not in one.
    """

    def __init__(self, output: _Output, file: LogFile | None = None) -> None:
        self._output, self.file = output, file

    def reopen(self) -> None:
        """Open the file by its name again, if it is one."""
        if self.file is not None:
            self.file.reopen()

    def become(self, other: "LogOutput") -> None:
        """Write where and as another one does."""
        if self.file is not None:
            self.file.close()
        self._output, self.file = other._output, other.file

    def __call__(self, event: LogEvent) -> None:
        """Write an event."""
        if not str(event.get("format", "")).startswith(_ABOUT_PLUGINS):
            self._output(event)


def log_output(twistd: Mapping[str, Any], form: LogFormat, role: str) -> LogOutput | None:
    """The output that the options of ``twistd`` ask for; None if they name a logger of their own.

    :raises ConfigError: it cannot be opened.
    """
    if twistd.get("logger"):
        return None
    name = twistd["logfile"]
    json_line = (lambda event: _as_json(event, role)) if form is LogFormat.JSON else None
    if twistd["syslog"]:
        syslog.openlog(twistd["prefix"])
        return LogOutput(_prioritised(json_line or _without_time, syslog.syslog))
    if name == "-" and not twistd["nodaemon"]:
        raise ConfigError("--logfile -: a daemon in the background has no standard output")
    if name not in (None, "", "-") or not twistd["nodaemon"]:
        file = LogFile(Path(name or "twistd.log"))
        return LogOutput(_plain(json_line or _with_time, file.write), file)
    if _stdout and _is_journal(_stdout.fileno(), os.environ.get("JOURNAL_STREAM", "")):
        return LogOutput(_prioritised(json_line or _without_time, lambda n, line: _print(f"<{n}>{line}\n")))
    return LogOutput(_plain(json_line or _with_time, _print))


def _is_journal(descriptor: int, told: str) -> bool:
    """Whether systemd connected a descriptor to the journal, as it says in ``JOURNAL_STREAM``."""
    found = os.fstat(descriptor)
    return told == f"{found.st_dev}:{found.st_ino}"


def _plain(text_of: Callable[[LogEvent], str], write: Callable[[str], object]) -> _Output:
    def output(event: LogEvent) -> None:
        if text := text_of(event):
            write(f"{text}\n")

    return output


def _prioritised(text_of: Callable[[LogEvent], str], write: Callable[[int, str], object]) -> _Output:
    """Writes each line of an event by itself, with its priority."""

    def output(event: LogEvent) -> None:
        for line in text_of(event).splitlines():
            write(_PRIORITIES[_level(event)], line)

    return output


#: Standard output, None if it is closed; later, twistd puts its log in the place of ``sys.stdout``.
_stdout: Any = sys.stdout


def _print(text: str) -> None:
    """Write to standard output, in UTF-8 in every locale."""
    if _stdout:
        _stdout.buffer.write(text.encode(errors="backslashreplace"))
        _stdout.buffer.flush()


def _level(event: LogEvent) -> Any:
    """An event's level; Twisted's older events only say whether they are errors."""
    return event.get("log_level") or (LogLevel.error if event.get("isError") else LogLevel.info)


def _with_time(event: LogEvent) -> str:
    if event.get("log_format") == LINE_FORMAT:  # each job has one, and to look for fields in it would take most of it
        return f"{_time(event['log_time'])} [{event['log_namespace']}#{event['log_level'].name}] {event['line']}"
    return (formatEventAsClassicLogText(event, _time) or "").rstrip("\n")


def _time(when: float | None) -> str:
    """A time in seconds, as Twisted writes it: a third of what a line would take."""
    return formatTime(None) if when is None else _time_of_second(int(when))


@lru_cache(maxsize=1)
def _time_of_second(second: int) -> str:
    return formatTime(second)


def _without_time(event: LogEvent) -> str:
    return eventAsText(event, includeTimestamp=False)


def _as_json(event: LogEvent, role: str) -> str:
    """One line: an object with time, level, role, message and the plain ones of the event's fields."""
    said = event["line"] if event.get("log_format") == LINE_FORMAT else formatEvent(event)
    said = said or eventAsText(event, includeTimestamp=False, includeSystem=False)
    line = {"time": formatTime(event.get("log_time")), "level": _level(event).name, "role": role, "message": said}
    if str(event.get("log_namespace", "")).startswith("sccachedist"):
        for name, value in event.items():
            if name not in line and not name.startswith("log_") and isinstance(value, _PLAIN) and value != said:
                line[name] = value
    if "log_failure" in event:
        line["traceback"] = event["log_failure"].getTraceback()
    return json.dumps(line)
