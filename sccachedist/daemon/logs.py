"""What is logged, chosen by ``SCCACHE_LOG``: :class:`Logger` drops the rest before it is formatted.

The levels apply to the package's own events, by module, whichever observer ``twistd`` was told to use: that observer
is installed after the roles are made, and writes all that it is given. What Twisted itself logs, a few lines at start
and end, is not changed.

Strangers decide the content and the number of many lines. So their text is escaped and cut, :class:`QuietLog` counts
frequent events instead of logging each one, and there is a bound for all lines together.
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

#: The levels by their names in the published programs; we have none below ``debug``.
LEVELS = {
    "error": LogLevel.error,
    "warn": LogLevel.warn,
    "info": LogLevel.info,
    "debug": LogLevel.debug,
    "trace": LogLevel.debug,
}
#: The most characters of one field of a line: no error of our own is longer.
LONGEST_FIELD = 2000
#: The most lines about one kind of event within ``QUIET_SECS`` seconds; a later line says how many more came.
LINES_PER_KIND, QUIET_SECS = 5, 60.0

_PLAIN = (bool, int, float, type(None))

_chosen = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)


@attrs.define
class Allowance:
    """How many lines may be written: ``at_once`` in a burst, and ``per_second`` after that.

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
        """Count a line; returns whether it may be written."""
        now = self.seconds()
        self._left = min(self.at_once, self._left + (now - self._counted) * self.per_second)
        self._counted = now
        if self._left < 1:
            self.left_out += 1
            return False
        self._left -= 1
        return True


#: The bounds for lines above ``debug``, 10 KB a second in the long run, and for ``debug``, which logs each request,
#: 100 KB. There are none until :func:`bound_lines`.
_allowance, _debug_allowance = Allowance(math.inf, math.inf), Allowance(math.inf, math.inf)


def bound_lines() -> None:
    """Limit how many lines this process writes, from now on."""
    global _allowance, _debug_allowance  # the process has one log
    _allowance, _debug_allowance = Allowance(2000, 100), Allowance(10_000, 1000)


class Logger(TwistedLogger):
    """Logs those events of one module that are important enough."""

    def emit(self, level: LogLevel, format: str | None = None, **kwargs: object) -> None:  # noqa: A002
        """Log an event, or drop it. Its fields are escaped and cut."""
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
    """The same failure, or one with the text escaped and cut: some failures hold text from strangers."""
    if not isinstance(failure, Failure):
        return failure
    said = safe_str(failure.value)
    if said.isprintable() and len(said) <= LONGEST_FIELD:
        return failure
    told = Failure(RuntimeError(f"{type(failure.value).__name__}: {excerpt(said, LONGEST_FIELD)}"))
    told.frames = failure.frames
    return told


class QuietLog:
    """Logs what strangers cause: the first few events of each kind, and then how often the kind happens.

    At ``debug``, each event is logged.

    :param seconds: the time.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._kinds: dict[str, _Kind] = {}

    def tell(self, log: Logger, level: LogLevel, kind: str, format: str, **fields: object) -> None:  # noqa: A002
        """Log an event of a kind, or count it.

        :param kind: one of a small set of our own; it must hold no text from a stranger.
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
    """Choose what is logged in the whole process; by default, ``info`` and above.

    :param directives: levels, separated by commas, each for all modules or, as ``module=level``, for one and those
        below it. A level that is not understood is logged and has no effect, as with the published programs.
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
