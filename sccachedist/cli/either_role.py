"""The configuration file of either role, told apart by its keys."""

from pathlib import Path

from sccachedist.config import SchedulerSettings, ServerSettings, load_scheduler_settings, load_server_settings
from sccachedist.errors import ConfigError, OtherRoleError


def load_either(config: Path) -> ServerSettings | SchedulerSettings:
    """Read the configuration file of either role.

    :raises ConfigError: it is neither's; the text is about the role that the file seems to be for.
    """
    try:
        return load_server_settings(config)
    except ConfigError as error:
        try:
            return load_scheduler_settings(config)
        except OtherRoleError:
            raise error from None
        except ConfigError as other:
            raise (error if _is_a_servers(config) else other) from None


def role_of(settings: ServerSettings | SchedulerSettings) -> str:
    """The role that settings are for, in words."""
    return "build server" if isinstance(settings, ServerSettings) else "scheduler"


def _is_a_servers(config: Path) -> bool:
    """Whether a file that is wrong seems to be meant for a build server."""
    try:
        return "scheduler_url" in config.read_text(errors="replace")
    except OSError:
        return True
