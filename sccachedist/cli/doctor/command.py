"""The command put together: a configuration file becomes lines, and an exit status."""

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
    """Print a line for each check, then end the process: with status 1 where something failed.

    :param authorities: who vouches for a scheduler with TLS, where that is not this host's usual authorities.
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
    """Read a file of whichever role.

    :raises ConfigError: it is neither's; the text is about the one that it seems to be.
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
