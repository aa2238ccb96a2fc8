"""What is logged, chosen by ``SCCACHE_LOG``: :class:`Logger` drops the rest before it is formatted.

The levels apply to the package's own events, by module, whichever observer ``twistd`` was told to use: that observer
is installed after the roles are made, and writes all that it is given. What Twisted itself logs, a few lines at start
and end, is not changed.

Strangers decide the content and the number of many lines. So their text is escaped and cut, :class:`QuietLog` counts
events that are repeated instead of logging each one, and there is a bound for all lines together.
"""

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import lru_cache

import attrs
from twisted.logger import Logger as TwistedLogger
from twisted.logger import LogLevel, LogLevelFilterPredicate
from twisted.python.failure import Failure
from twisted.python.reflect import safe_str

from sccachedist.daemon.log_levels import LEVEL_NAMES
from sccachedist.printable import excerpt

#: We have no level below ``debug``.
LEVELS = dict(
    zip(LEVEL_NAMES, (LogLevel.error, LogLevel.warn, LogLevel.info, LogLevel.debug, LogLevel.debug), strict=True)
)
#: The most characters of one field of a line: no error of our own is longer.
LONGEST_FIELD = 2000
#: Seconds for which an event that peers cause is counted after its line; the next line has the count.
QUIET_SECS = 300.0
#: The most lines about different reasons of one peer, and about one kind of event of all peers: so many at once, and as
#: many again within ``QUIET_SECS``.
LINES_PER_PEER, LINES_PER_KIND = 5, 50
#: Seconds between two lines that say how many were left out: in a flood, some are left out between any two.
LEFT_OUT_SECS = 10.0
#: The most peers that one :class:`QuietLog` remembers, and reasons of each.
MOST_PEERS, MOST_REASONS = 1000, 20

#: The format of an event that is a line already.
LINE_FORMAT = "{line}"

_PLAIN = (bool, int, float, type(None))

_chosen = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)


@lru_cache(1 << 10)  # Twisted looks for each part of a module's name, for each event
def _dropped(module: str) -> frozenset[LogLevel]:
    """The levels of a module's events that are not logged."""
    lowest = _chosen.logLevelForNamespace(module)
    return frozenset(level for level in LogLevel.iterconstants() if level < lowest)


@attrs.define
class Allowance:
    """How many lines may be written: ``at_once`` in a burst, and ``per_second`` after that.

    :param seconds: a monotonic clock.
    """

    at_once: float
    per_second: float
    seconds: Callable[[], float] = time.monotonic
    left_out: int = 0
    _told: float = -math.inf
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

    def untold(self) -> int:
        """Take how many lines were not written, to tell it now; 0 if there are none, or some were told just before."""
        if not self.left_out or self._counted < self._told + LEFT_OUT_SECS:
            return 0
        untold, self.left_out, self._told = self.left_out, 0, self._counted
        return untold


#: The bounds for lines above ``debug``, 10 KB a second in the long run, and for ``debug``, which logs each request,
#: 100 KB. There are none until :func:`bound_lines`.
_allowance, _debug_allowance = Allowance(math.inf, math.inf), Allowance(math.inf, math.inf)


def bound_lines() -> None:
    """Limit how many lines this process writes, from now on."""
    global _allowance, _debug_allowance  # the process has one log
    _allowance, _debug_allowance = Allowance(2000, 100), Allowance(10_000, 1000)


#: How many events this process has logged, by the name of their level.
logged: Counter[str] = Counter()


class Logger(TwistedLogger):
    """Logs those events of one module that are important enough."""

    def emit(self, level: LogLevel, format: str | None = None, **kwargs: object) -> None:  # noqa: A002
        """Log an event, or drop it. Its fields are escaped and cut."""
        if not self._admits(level):
            return
        for name, value in kwargs.items():
            if name == "log_failure":
                kwargs[name] = _fit_to_be_read(value)
            elif not isinstance(value, _PLAIN) and not name.startswith("log_"):
                kwargs[name] = excerpt(value if isinstance(value, str) else str(value), LONGEST_FIELD)
        super().emit(level, format, **kwargs)

    def _admits(self, level: LogLevel) -> bool:
        """Whether an event is logged; it is counted then, and told how many were not."""
        if level in _dropped(self.namespace):
            return False
        allowance = self._allowance_of(level)
        if not allowance.allows_one_more():
            return False
        if left_out := allowance.untold():
            super().emit(LogLevel.warn, "{left_out} lines were left out of this log", left_out=left_out)
        logged[level.name] += 1
        return True

    def _allowance_of(self, level: LogLevel) -> Allowance:
        return _debug_allowance if level is LogLevel.debug else _allowance


class LineLogger(Logger):
    """Logs lines that an operator has asked for: as many as at ``debug``, and they push out no others.

    Each job has one. So a line is made before, and goes to the observers as it is: to make it of its fields would take
    most of the time.
    """

    def line(self, text: str, **fields: object) -> None:
        """Log a line at ``info``.

        :param fields: what an output of objects shows besides.
        """
        if self._admits(LogLevel.info):
            self.observer(
                {
                    **{name: each if isinstance(each, _PLAIN) else excerpt(str(each)) for name, each in fields.items()},
                    "line": excerpt(text, LONGEST_FIELD),
                    "log_logger": self,
                    "log_level": LogLevel.info,
                    "log_namespace": self.namespace,
                    "log_source": self.source,
                    "log_format": LINE_FORMAT,
                    "log_time": time.time(),
                }
            )

    def _allowance_of(self, level: LogLevel) -> Allowance:
        return _debug_allowance


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
    """Logs what peers cause: each new reason of each peer at once, then how often it came, every few minutes.

    At ``debug``, each event is logged.

    :param seconds: the time.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._kinds: dict[str, Allowance] = {}
        self._peers: OrderedDict[tuple[str, str], _Peer] = OrderedDict()

    def tell(
        self,
        log: Logger,
        level: LogLevel,
        kind: str,
        format: str,  # noqa: A002
        *,
        by: str = "",
        why: str = "",
        **fields: object,
    ) -> None:
        """Log an event, or count it.

        :param kind: one of a small set of our own; it must hold no text from a stranger.
        :param by: the peer that causes it, if the kind does not say that.
        :param why: what tells one reason from another, without numbers that differ each time.
        """
        peer, of_all = self._peer(kind, by), self._allowance(kind)
        more = peer.more(excerpt(why), self._seconds(), of_all)
        if more is None:
            log.emit(LogLevel.debug, format, **fields)
            return
        if more:
            fields["repeated"], format = more, f"{format}, and {{repeated}} more times since it was last told"  # noqa: A001
        log.emit(level, format, **fields)

    def forget(self, kind: str, by: str = "") -> None:
        """Log the next event of a kind and a peer at once, because what caused the earlier ones is over."""
        if (kind, by) in self._peers:
            self._peers[kind, by].reasons.clear()

    def _peer(self, kind: str, by: str) -> "_Peer":
        if (kind, by) not in self._peers:
            if len(self._peers) >= MOST_PEERS:
                self._peers.popitem(last=False)
            self._peers[kind, by] = _Peer(_few(LINES_PER_PEER, self._seconds))
        self._peers.move_to_end((kind, by))
        return self._peers[kind, by]

    def _allowance(self, kind: str) -> Allowance:
        if kind not in self._kinds:
            self._kinds[kind] = _few(LINES_PER_KIND, self._seconds)
        return self._kinds[kind]


def _few(lines: int, seconds: Callable[[], float]) -> Allowance:
    return Allowance(lines, lines / QUIET_SECS, seconds)


@attrs.define
class _Peer:
    """What was told of one kind of event of one peer: for each reason until when, and how many came after that."""

    allowance: Allowance
    reasons: OrderedDict[str, tuple[float, int]] = attrs.field(factory=OrderedDict)

    def more(self, why: str, now: float, of_all: Allowance) -> int | None:
        """How many more events the line about this one has to count; None if it is itself only counted."""
        until, untold = self.reasons.get(why, (now, 0))
        if now < until:
            self.reasons[why] = until, untold + 1
            return None
        if not (self.allowance.allows_one_more() and of_all.allows_one_more()):
            return None
        self.reasons[why] = now + QUIET_SECS, 0
        self.reasons.move_to_end(why)
        if len(self.reasons) > MOST_REASONS:
            self.reasons.popitem(last=False)
        for several in (self.allowance, of_all):
            untold, several.left_out = untold + several.left_out, 0
        return untold


def choose_levels(directives: str) -> list[str]:
    """Choose what is logged in the whole process; by default, ``info`` and above.

    :param directives: levels, separated by commas, each for all modules or, as ``module=level``, for one and those
        below it.
    :returns: those that are not understood; they have no effect, as with the published programs.
    """
    _chosen.clearLogLevels()
    levels, others = {}, []
    for directive in filter(None, map(str.strip, directives.split(","))):
        module, _, level = directive.rpartition("=")
        if level.lower() in LEVELS:
            levels[module] = LEVELS[level.lower()]
        else:
            others.append(directive)
    for module, chosen in levels.items():
        _chosen.setLogLevelForNamespace(module, chosen)
    _dropped.cache_clear()
    return others
