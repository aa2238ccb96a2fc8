"""The names of log levels, and the variable that chooses one: apart from :mod:`~sccachedist.daemon.logs`, for commands.

It loads no Twisted.
"""

#: The environment variable that says what is logged.
LOG_VARIABLE = "SCCACHE_LOG"
#: As in the published programs; ``trace`` means ``debug`` here.
LEVEL_NAMES = ("error", "warn", "info", "debug", "trace")
