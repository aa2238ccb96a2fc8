"""What the doctor checks for each role, and in which order.

``probes`` collects the facts and ``findings`` decides what they mean.
"""

import json
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sccachedist.builders.cgroups import own_groups
from sccachedist.builders.overlay import OverlayBuilder
from sccachedist.cli.admin_client import own_url, trust_in
from sccachedist.cli.doctor import findings
from sccachedist.cli.doctor.findings import GIB, Finding
from sccachedist.cli.doctor.probes import free_space, own_certificate, said_by, shown_certificate
from sccachedist.cli.web_client import Question, Reply, Trust
from sccachedist.config import (
    DockerBuilderSettings,
    JwtValidate,
    OverlayBuilderSettings,
    PotBuilderSettings,
    ProxyToken,
    SchedulerSettings,
    ServerSettings,
)
from sccachedist.directories import check_way, make_private
from sccachedist.errors import BuildError, ConfigError, PeerError
from sccachedist.server.service import make_builder
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import JOB_STATE, JobState

#: The number of a job that no scheduler ever reaches.
_NO_JOB = 2**64 - 1
_ROOM_FOR_JOBS = GIB
#: Seconds for each step of an answer.
_SECS = 10

Say = Callable[[Finding], None]


async def examine_server(reactor: Any, settings: ServerSettings, token: str, trust: Trust, say: Say) -> None:
    """Check a build server's host and its scheduler; the build server's daemon may be running or not.

    :param token: the token that the build server shows to the scheduler.
    :param trust: what proves the identity of a scheduler with TLS.
    """
    match settings.builder:
        case OverlayBuilderSettings(build_dir=build_dir, bwrap_path=bwrap_path):
            say(findings.bwrap_version(said_by(str(bwrap_path), "--version")))
            for finding in _limits(build_dir):
                say(finding)
            say(findings.jobs_user(os.geteuid() if settings.sandbox.user is None else -1))
            say(await _trial(_overlay(reactor, settings, build_dir, bwrap_path)))
            say(_disk("builder.build_dir", build_dir, _ROOM_FOR_JOBS))
        case DockerBuilderSettings():
            say(_program("docker", "docker", "version"))
            say(await _trial(_ours(reactor, settings)))
        case PotBuilderSettings(pot_cmd=pot):
            say(_program("pot", str(pot), "version"))
            say(await _trial(_ours(reactor, settings)))
    say(_disk("cache_dir", settings.cache_dir, settings.toolchain_cache_size))
    for finding in _scheduler(settings.scheduler_url, token, trust):
        say(finding)
    say(findings.public_address(shown_certificate(settings.public_addr), own_certificate(settings.cache_dir)))


async def examine_scheduler(settings: SchedulerSettings, authorities: Path | None, say: Say) -> None:
    """Check a scheduler, and the services that know its clients.

    :param authorities: a file with the authorities for the scheduler's certificate, if it is not the one of ``[tls]``.
    """
    try:
        trust = trust_in(settings, authorities)
    except ConfigError as error:
        say(findings.failed("tls", str(error), "correct it, or its owner"))
        trust = Trust()
    say(_reached("public_addr", f"{own_url(settings)}/api/v1/scheduler/status", _farm, trust, start=True))
    match settings.client_auth:
        case JwtValidate(jwks_url=url):
            say(_reached("client_auth.jwks_url", url, _keys))
        case ProxyToken(url=url):
            say(_reached("client_auth.url", url, lambda reply: f"it answers, {reply.status} to who shows no token"))


def _limits(build_dir: Path) -> Iterator[Finding]:
    groups = own_groups(build_dir / "doctor")
    for limited in groups.prepare():
        yield findings.limit_of(limited.controller, limited.parent and str(Path(limited.parent).parent), limited.reason)
    groups.clear()


async def _trial(trial: Coroutine[Any, Any, None]) -> Finding:
    """Run the same trial job as a build server at its start."""
    try:
        await trial
    except (BuildError, OSError) as error:
        return findings.failed("sandbox", str(error))
    return findings.good("sandbox", "a trial job ran, and saw what it should and no more")


async def _overlay(reactor: Any, settings: ServerSettings, build_dir: Path, bwrap: Path) -> None:
    """Run the trial in a directory of its own, so that the daemon's is left alone."""
    existing, _ = check_way(build_dir.absolute())
    if existing != build_dir.absolute():
        make_private(build_dir)
    with tempfile.TemporaryDirectory(dir=build_dir, prefix="doctor-") as place:
        builder = OverlayBuilder(reactor, Path(place), bwrap, settings.limits, settings.sandbox.scratch_bytes, 1)
        try:
            await builder.start()
        finally:
            await builder.stop()


async def _ours(reactor: Any, settings: ServerSettings) -> None:
    """Run the trial among the daemon's own containers or pots, without touching those."""
    builder = make_builder(settings, reactor)
    try:
        await builder.prove()
    finally:
        await builder.stop()


def _program(check: str, *command: str) -> Finding:
    if said_by(*command) is None:
        return findings.failed(check, f"{' '.join(command)!r} fails", "install it, start its daemon, or give the right")
    return findings.good(check, "it answers")


def _disk(check: str, directory: Path, wanted: int) -> Finding:
    try:
        return findings.space(check, free_space(directory), wanted)
    except OSError as error:
        return findings.failed(check, f"{directory} cannot be written: {error.strerror}", "correct it, or its owner")


def _scheduler(url: str, token: str, trust: Trust) -> Iterator[Finding]:
    api = f"{url}/api/v1/scheduler"
    yield _reached("scheduler", f"{api}/status", _farm, trust)
    asked = Question(f"{api}/job_state/{_NO_JOB}", token, encode(JOB_STATE, JobState.STARTED))
    try:
        reply: Reply | None = asked.ask(_SECS, trust)
    except (PeerError, ConfigError):
        reply = None
    yield findings.token(reply.status if reply else None)
    if reply and reply.date:
        yield findings.clocks(datetime.now(UTC), reply.date)


def _reached(
    check: str, url: str, meaning: Callable[[Reply], str], trust: Trust | None = None, *, start: bool = False
) -> Finding:
    try:
        return findings.good(check, meaning(Question(url, accept="application/json").ask(_SECS, trust)))
    except ConfigError as error:
        return findings.failed(check, str(error), "correct --ca")
    except PeerError as error:
        text = f"{url} cannot be reached: {error}"
        if start:
            return findings.warning(check, text, "start the scheduler")
        return findings.failed(check, text, "correct it, or see what is in between")
    except (ValueError, KeyError, TypeError):
        return findings.failed(check, f"{url} answers what it should not", "correct it")


def _farm(reply: Reply) -> str:
    return f"it answers, and has {json.loads(reply.body)['num_servers']} build servers"


def _keys(reply: Reply) -> str:
    return f"it has {len(json.loads(reply.body)['keys'])} keys"
