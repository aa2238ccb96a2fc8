"""The whole command: from a configuration file to printed lines and an exit status. It does not know the checks."""

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from sccachedist.cli.doctor.checks import examine_scheduler, examine_server
from sccachedist.cli.doctor.findings import Finding, exit_status, permissions
from sccachedist.cli.web_client import Trust
from sccachedist.config import SchedulerSettings, ServerSettings, load_scheduler_settings, load_server_settings
from sccachedist.errors import ConfigError
from sccachedist.printable import printable
from sccachedist.server.service import server_token


def run_doctor(config: Path, authorities: Path | None = None) -> None:
    """Print a line for each check, then end the process, with status 1 if a check failed.

    :param authorities: a file with the authorities for a scheduler with TLS, if not this host's own.
    :raises ConfigError: the file is neither role's.
    """
    settings = load_either(config)
    seen: list[Finding] = []

    def say(finding: Finding) -> None:
        seen.append(finding)
        print(printable(str(finding)), flush=True)  # noqa: T201

    async def examine(reactor: Any) -> None:
        say(permissions(config.stat().st_mode))
        match settings:
            case ServerSettings():
                await examine_server(reactor, settings, server_token(settings), Trust(authorities=authorities), say)
            case SchedulerSettings():
                await examine_scheduler(settings, authorities, say)
        raise SystemExit(exit_status(seen))

    react(lambda reactor: Deferred.fromCoroutine(examine(reactor)))


def load_either(config: Path) -> ServerSettings | SchedulerSettings:
    """Read the configuration file of either role.

    :raises ConfigError: it is neither's; the text is about the role that the file seems to be for.
    """
    try:
        return load_server_settings(config)
    except ConfigError as error:
        try:
            return load_scheduler_settings(config)
        except ConfigError:
            if config.exists() and "scheduler_url" not in config.read_text(errors="replace"):
                raise
            raise error from None
