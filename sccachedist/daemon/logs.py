"""What is logged, chosen by ``SCCACHE_LOG``: :class:`Logger` drops the rest before anything is made of it.

The levels hold for the package's own events, by their modules, whichever observer ``twistd`` was told to use: that one
is put in place after the roles are made and takes all that it is given. What Twisted itself says, a few lines at
start and end, is not changed.

Strangers decide what many lines say, and how many there are. So what they say is escaped and cut, :class:`QuietLog`
counts what happens often instead of telling it each time, and there is a bound for all lines together.
"""

import math
import time
from collections.abc import Callable

import attrs
from twisted.logger import Logger as TwistedLogger
from twisted.logger import LogLevel, LogLevelFilterPredicate
from twisted.python.failure import Failure
from twisted.python.reflect import safe_str

from sccachedist.printable import excerpt

#: The levels by the names that the published programs have for them; we have nothing below ``debug``.
LEVELS = {
    "error": LogLevel.error,
    "warn": LogLevel.warn,
    "info": LogLevel.info,
    "debug": LogLevel.debug,
    "trace": LogLevel.debug,
}
#: Characters of one field of a line: as many as our own errors have at most.
LONGEST_FIELD = 2000
#: Lines about one kind of event, until so many seconds are over; then it is told how many more there were.
LINES_PER_KIND, QUIET_SECS = 5, 60.0

_PLAIN = (bool, int, float, type(None))

_chosen = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)


@attrs.define
class Allowance:
    """How many lines may be written: so many at once, and so many a second when that is used up.

    :param seconds: a monotonic clock.
    """

    at_once: float
    per_second: float
    seconds: Callable[[], float] = time.monotonic
    left_out: int = 0
    _left: float = attrs.field(init=False)
    _counted: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._left, self._counted = self.at_once, self.seconds()

    def allows_one_more(self) -> bool:
        """Count a line, which is written or left out."""
        now = self.seconds()
        self._left = min(self.at_once, self._left + (now - self._counted) * self.per_second)
        self._counted = now
        if self._left < 1:
            self.left_out += 1
            return False
        self._left -= 1
        return True


#: How many lines may be written: above ``debug`` 10 KB a second, when it goes on, and at ``debug``, which tells of each
#: request, 100 KB.
_allowance, _debug_allowance = Allowance(math.inf, math.inf), Allowance(math.inf, math.inf)


def bound_lines() -> None:
    """Bound how many lines this process writes, from now on."""
    global _allowance, _debug_allowance  # the process has one log
    _allowance, _debug_allowance = Allowance(2000, 100), Allowance(10_000, 1000)


class Logger(TwistedLogger):
    """Logs the events of one module that are important enough."""

    def emit(self, level: LogLevel, format: str | None = None, **kwargs: object) -> None:  # noqa: A002
        """Log an event, or drop it. Its fields are made fit to be read."""
        if level < _chosen.logLevelForNamespace(self.namespace):
            return
        allowance = _debug_allowance if level is LogLevel.debug else _allowance
        if not allowance.allows_one_more():
            return
        if allowance.left_out:
            left_out, allowance.left_out = allowance.left_out, 0
            super().emit(LogLevel.warn, "{left_out} lines were left out of this log", left_out=left_out)
        for name, value in kwargs.items():
            if name == "log_failure":
                kwargs[name] = _fit_to_be_read(value)
            elif not isinstance(value, _PLAIN) and not name.startswith("log_"):
                kwargs[name] = excerpt(value if isinstance(value, str) else str(value), LONGEST_FIELD)
        super().emit(level, format, **kwargs)


def _fit_to_be_read(failure: object) -> object:
    """The same failure, unless its text has what a log must not have: text of strangers is in some."""
    if not isinstance(failure, Failure):
        return failure
    said = safe_str(failure.value)
    if said.isprintable() and len(said) <= LONGEST_FIELD:
        return failure
    told = Failure(RuntimeError(f"{type(failure.value).__name__}: {excerpt(said, LONGEST_FIELD)}"))
    told.frames = failure.frames
    return told


class QuietLog:
    """Tells of what strangers cause: each kind of event a few times, and then how often it happens.

    At ``debug`` each event is told.

    :param seconds: the time.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._kinds: dict[str, _Kind] = {}

    def tell(self, log: Logger, level: LogLevel, kind: str, format: str, **fields: object) -> None:  # noqa: A002
        """Log an event of a kind, or count it.

        :param kind: one of a small set of ours: what a stranger says has no part in it.
        """
        now = self._seconds()
        known = self._kinds.get(kind)
        if known is None or now >= known.until:
            untold = known.untold if known else 0
            self._kinds[kind] = known = _Kind(now + QUIET_SECS)
            more = f", and {untold} more times since it was last told" if untold else ""
        elif known.told < LINES_PER_KIND:
            more = ""
        else:
            known.untold += 1
            log.emit(LogLevel.debug, format, **fields)
            return
        known.told += 1
        log.emit(level, format + "{more}", more=more, **fields)


@attrs.define
class _Kind:
    until: float
    told: int = 0
    untold: int = 0


log = Logger()


def choose_levels(directives: str) -> None:
    """Choose what is logged, for the whole process; ``info`` and above where nothing else is said.

    :param directives: levels, separated by commas, each for all modules or, as ``module=level``, for one and those
        below it. One that is not understood is logged and has no effect, as with the published programs.
    """
    _chosen.clearLogLevels()
    levels = {}
    for directive in filter(None, map(str.strip, directives.split(","))):
        module, _, level = directive.rpartition("=")
        if level.lower() in LEVELS:
            levels[module] = LEVELS[level.lower()]
        else:
            expected = ", ".join(LEVELS)
            log.warn(
                "SCCACHE_LOG: {given!r} is not understood, expected [MODULE=]LEVEL of {expected}",
                given=directive,
                expected=expected,
            )
    for module, chosen in levels.items():
        _chosen.setLogLevelForNamespace(module, chosen)
