"""The configuration file of any role, told apart by its keys."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from sccachedist.config import (
    SchedulerSettings,
    ServerSettings,
    WorkerSettings,
    load_scheduler_settings,
    load_server_settings,
    load_worker_settings,
)
from sccachedist.errors import ConfigError, OtherRoleError

AnySettings: TypeAlias = ServerSettings | SchedulerSettings | WorkerSettings

#: How each role's file is read, and what only such a file has. The first one is taken if none seems meant.
_ROLES: tuple[tuple[Callable[[Path], AnySettings], str], ...] = (
    (load_server_settings, "scheduler_url"),
    (load_worker_settings, "[gateway]"),
    (load_scheduler_settings, "client_auth"),
)


def load_either(config: Path) -> AnySettings:
    """Read the configuration file of any role.

    :raises ConfigError: it is none's; the text is about the role that the file seems to be for.
    """
    errors: dict[str, ConfigError] = {}
    for load, mark in _ROLES:
        try:
            return load(config)
        except ConfigError as error:
            errors[mark] = error
    own = {mark: error for mark, error in errors.items() if not isinstance(error, OtherRoleError)} or errors
    text = _text(config)
    raise next((error for mark, error in own.items() if mark in text), next(iter(own.values()))) from None


def role_of(settings: AnySettings) -> str:
    """The role that settings are for, in words."""
    match settings:
        case ServerSettings():
            return "build server"
        case WorkerSettings():
            return "worker"
    return "scheduler"


def _text(config: Path) -> str:
    try:
        return config.read_text(errors="replace")
    except OSError:
        return ""
