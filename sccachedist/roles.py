"""What both roles' plugins have in common: their options, and how a configuration becomes a role or one clear line."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from twisted.python import usage

from sccachedist.errors import ConfigError

T = TypeVar("T")

#: Connections that may wait to be accepted: a parallel build opens many at once.
BACKLOG = 1024


class RoleOptions(usage.Options):
    """The options of ``twistd sccache-scheduler`` and ``twistd sccache-server``."""

    optParameters = (("config", "c", None, "The configuration file, TOML or (ending in .json) JSON."),)

    def postOptions(self) -> None:
        """Insist on a configuration."""
        if self["config"] is None:
            raise usage.UsageError("--config is needed")

    @property
    def config(self) -> Path:
        """Where the configuration is."""
        return Path(self["config"]).absolute()


def or_exit(make: Callable[[], T]) -> T:
    """What ``make`` makes; a configuration that cannot be used ends the process with one line, before it detaches."""
    try:
        return make()
    except ConfigError as error:
        raise SystemExit(f"sccachedist: {error}") from error
