"""The whole command: from a configuration file to printed lines and an exit status. It does not know the checks."""

import contextlib
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from sccachedist.cli.doctor.checks import Checks, carried_out, scheduler_checks, server_checks, worker_checks
from sccachedist.cli.doctor.findings import Finding, exit_status, permissions
from sccachedist.cli.either_role import load_either
from sccachedist.client.scheduler_address import Given
from sccachedist.client.web_client import Trust
from sccachedist.config import SchedulerSettings, ServerSettings, WorkerSettings
from sccachedist.printable import printable


def run_doctor(config: Path, authorities: Path | None, scheduler: str | None, wait: float | None) -> None:
    """Print a line for each check, then end the process, with status 1 if a check failed.

    :param authorities: a file with the authorities for a scheduler with TLS, if not this host's own.
    :param scheduler: the URL at which the scheduler is reached, if not that of the configuration.
    :param wait: for how many seconds a request to it is held open at most, see
        :func:`~sccachedist.cli.doctor.way.hold_secs`.
    :raises ConfigError: the file is no role's.
    :raises OSError: the lines cannot be printed.
    """
    settings = load_either(config)
    seen: list[Finding] = []
    ended: list[OSError | None] = []

    def checks(reactor: Any) -> Checks:
        match settings:
            case ServerSettings():
                asked = attrs.evolve(settings, scheduler_url=scheduler or settings.scheduler_url)
                return server_checks(reactor, asked, Trust(authorities=authorities), wait)
            case WorkerSettings():
                return worker_checks(reactor, settings)
            case SchedulerSettings():
                return scheduler_checks(reactor, settings, Given(scheduler, config, None, authorities), wait)

    async def examine(reactor: Any) -> None:
        try:
            _say(seen, permissions(config.stat().st_mode))
            for check, found in checks(reactor):
                async for finding in carried_out(check, found):
                    _say(seen, finding)
        except OSError as error:  # react would print where
            ended.append(error)
        else:
            ended.append(None)

    with contextlib.suppress(SystemExit):  # react has no other end
        react(lambda reactor: Deferred.fromCoroutine(examine(reactor)))
    if not ended:
        raise KeyboardInterrupt
    if ended[0] is not None:
        raise ended[0]
    raise SystemExit(exit_status(seen))


def _say(seen: list[Finding], finding: Finding) -> None:
    seen.append(finding)
    print(printable(str(finding)), flush=True)
