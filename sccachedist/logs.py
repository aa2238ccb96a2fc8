"""What is logged, chosen by ``SCCACHE_LOG``: :class:`Logger` drops the rest before anything is made of it.

The levels hold for the package's own events, by their modules, whichever observer ``twistd`` was told to use: that one
is put in place after the roles are made and takes all that it is given. What Twisted itself says, a few lines at
start and end, is not changed.
"""

from twisted.logger import Logger as TwistedLogger
from twisted.logger import LogLevel, LogLevelFilterPredicate

#: The levels by the names that the published programs have for them; we have nothing below ``debug``.
LEVELS = {
    "error": LogLevel.error,
    "warn": LogLevel.warn,
    "info": LogLevel.info,
    "debug": LogLevel.debug,
    "trace": LogLevel.debug,
}

_chosen = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)


class Logger(TwistedLogger):
    """Logs the events of one module that are important enough."""

    def emit(self, level: LogLevel, format: str | None = None, **kwargs: object) -> None:  # noqa: A002
        """Log an event, or drop it."""
        if level >= _chosen.logLevelForNamespace(self.namespace):
            super().emit(level, format, **kwargs)


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
