"""What the doctor checks for each role, and in which order.

``probes`` collects the facts and ``findings`` decides what they mean.
"""

import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from sccachedist.auth.bearer import IPAddress
from sccachedist.builders.cgroups import own_groups
from sccachedist.builders.cpus import allowed_cpus, least_quota
from sccachedist.builders.overlay import OverlayBuilder
from sccachedist.cli.doctor import findings
from sccachedist.cli.doctor.cluster_checks import cluster_checks
from sccachedist.cli.doctor.findings import GIB, Finding, Level, failed, good, warning
from sccachedist.cli.doctor.object_store import CHECK, object_store_check
from sccachedist.cli.doctor.probes import (
    free_space,
    leaves_from,
    own_certificate,
    refused_namespace,
    restrictions,
    said_by,
    shown_certificate,
)
from sccachedist.cli.doctor.restrictions import cause_of
from sccachedist.cli.doctor.way import HOLD_SECS, held, hold_secs, senders, way_of
from sccachedist.client.scheduler_address import Given, SchedulerPlace, own_url, scheduler_place, trust_in
from sccachedist.client.web_client import Question, Reply, Trust
from sccachedist.config import (
    DockerBuilderSettings,
    HostSettings,
    JwtValidate,
    OverlayBuilderSettings,
    PotBuilderSettings,
    ProxyToken,
    RemoteBuilderSettings,
    SchedulerSettings,
    ServerSettings,
    WorkerSettings,
)
from sccachedist.daemon.privileges import Account
from sccachedist.directories import check_way, make_private
from sccachedist.errors import BuildError, ConfigError, PeerError
from sccachedist.peers.proxies import Proxies
from sccachedist.peers.service_calls import service_calls
from sccachedist.peers.source_address import source_address
from sccachedist.peers.streams import streams
from sccachedist.peers.trust import CertificatePolicy
from sccachedist.scheduler.client_auth import ANSWER_BYTES, ANSWER_SECS
from sccachedist.server.cache_lock import IDENTITY
from sccachedist.server.sandboxes import make_builder
from sccachedist.server.self_description import server_token
from sccachedist.web.tls import CertificateFiles
from sccachedist.wire.archive_id import NO_TOOLCHAIN
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import JOB_STATE, JobState
from sccachedist.worker.gateway_calls import GatewayCalls
from sccachedist.worker.trusted import DIRECTORY, TrustedCertificates

#: The number of a job that no scheduler ever reaches.
_NO_JOB = 2**64 - 1
_ROOM_FOR_JOBS = GIB
#: Seconds for an answer.
_SECS = 10
_JSON = "application/json"

#: What one check finds, one line after the other.
Findings = AsyncIterator[Finding]
Checks = Iterator[tuple[str, Findings]]


async def carried_out(check: str, findings_of_it: Findings) -> Findings:
    """What a check finds, as it finds it. A check that itself goes wrong is a finding, so that the others follow."""
    try:
        async for finding in findings_of_it:
            yield finding
    except ConfigError as error:
        yield failed(check, str(error), "correct it")
    except Exception as error:  # the edge of a check: the others follow
        yield failed(check, f"cannot be checked: {type(error).__name__}: {error}")


def server_checks(reactor: Any, settings: ServerSettings, trust: Trust, wait: float | None = None) -> Checks:
    """The checks of a build server's host and its scheduler; the build server's daemon may be running or not.

    :param trust: what proves the identity of a scheduler with TLS.
    :param wait: for how many seconds a request to it is held open at most.
    """
    yield from _host_checks(reactor, settings)
    yield "public_addr", _public_address(settings)
    yield "scheduler", _scheduler(settings, trust, wait)
    if settings.toolchains.store is not None:
        yield CHECK, object_store_check(reactor, settings.toolchains)


def worker_checks(reactor: Any, settings: WorkerSettings) -> Checks:
    """The checks of a worker's host and its gateways; the worker's daemon may be running or not."""
    yield from _host_checks(reactor, settings)
    for url in settings.gateway.urls:
        yield "gateway", _gateway(reactor, settings, url)


def _host_checks(reactor: Any, settings: HostSettings) -> Checks:
    match settings.builder:
        case OverlayBuilderSettings(build_dir=build_dir, bwrap_path=bwrap_path):
            yield "bubblewrap", _found(lambda: findings.bwrap_version(said_by(str(bwrap_path), "--version")))
            yield "limits", _limits(build_dir)
            yield "sandbox.user", _jobs_user(settings)
            yield "sandbox", _sandbox(reactor, settings, build_dir, bwrap_path)
            yield "builder.build_dir", _disk("builder.build_dir", build_dir, _ROOM_FOR_JOBS)
        case DockerBuilderSettings():
            yield "docker", _program("docker", "docker", "version")
            yield "sandbox", _trial(_ours(reactor, settings))
        case PotBuilderSettings(pot_cmd=pot):
            yield "pot", _program("pot", str(pot), "version")
            yield "sandbox", _trial(_ours(reactor, settings))
    if not isinstance(settings.builder, RemoteBuilderSettings):  # a gateway offers the CPUs of its workers
        yield "capacity.cpus", _found(lambda: findings.cpus(settings.capacity.cpus, allowed_cpus(), least_quota()))
    yield "cache_dir", _disk("cache_dir", settings.cache_dir, settings.toolchain_cache_size)


def scheduler_checks(reactor: Any, settings: SchedulerSettings, given: Given, wait: float | None) -> Checks:
    """The checks of a scheduler, and of the services that know its clients.

    :param given: where clients reach it, if that is elsewhere; the authorities for its certificate, if not that of
        ``[tls]``.
    :param wait: for how many seconds a request there is held open at most.
    """
    yield "public_addr", _own_scheduler(settings, given.authorities)
    if settings.cluster is not None:
        yield from cluster_checks(reactor, settings, settings.cluster)
    match settings.client_auth:
        case JwtValidate(jwks_url=url):
            yield "client_auth.jwks_url", _service(reactor, "client_auth.jwks_url", url, findings.keys)
        case ProxyToken(url=url):
            yield "client_auth.url", _service(reactor, "client_auth.url", url, findings.answers)
    if given.scheduler is not None:
        yield "way", _way(scheduler_place(given), None, None, HOLD_SECS if wait is None else wait)


async def _found(look: Callable[[], Finding]) -> Findings:
    yield look()


async def _limits(build_dir: Path) -> Findings:
    groups = own_groups(build_dir / "doctor")
    for limited in groups.prepare():
        parent = limited.parent and str(Path(limited.parent).parent)
        yield findings.limit_of(limited.controller, parent, limited.reason, root=os.geteuid() == 0)
    groups.clear()


def _account(settings: HostSettings) -> Account | None:
    """The user whom a build server becomes, if it does.

    :raises ConfigError: it cannot become that user.
    """
    return None if settings.sandbox.user is None else Account.named(settings.sandbox.user, "sandbox.user")


async def _jobs_user(settings: HostSettings) -> Findings:
    account = _account(settings)
    yield findings.jobs_user(os.geteuid() if account is None else account.uid)


async def _sandbox(reactor: Any, settings: HostSettings, build_dir: Path, bwrap: Path) -> Findings:
    try:
        account = _account(settings)
    except ConfigError:  # that is another check's finding
        account = None
    if cause := cause_of(refused_namespace(account), restrictions()):
        yield failed("sandbox", cause.text, cause.mend)
        return
    async for finding in _trial(_overlay(reactor, settings, build_dir, bwrap)):
        yield finding


async def _trial(trial: Coroutine[Any, Any, None]) -> Findings:
    """Run the same trial job as a build server at its start."""
    try:
        await trial
    except (BuildError, OSError) as error:
        yield findings.broken_sandbox(str(error), restrictions().seccomp)
    else:
        yield good("sandbox", "a trial job ran, and saw what it should and no more")


async def _overlay(reactor: Any, settings: HostSettings, build_dir: Path, bwrap: Path) -> None:
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


async def _ours(reactor: Any, settings: HostSettings) -> None:
    """Run the trial among the daemon's own containers or pots, without touching those."""
    builder = make_builder(settings, reactor)
    try:
        await builder.prove()
    finally:
        await builder.stop()


async def _program(check: str, *command: str) -> Findings:
    if said_by(*command) is None:
        yield failed(check, f"{' '.join(command)!r} fails", "install it, start its daemon, or give the right")
    else:
        yield good(check, "it answers")


async def _disk(check: str, directory: Path, wanted: int) -> Findings:
    try:
        yield findings.space(check, free_space(directory), wanted)
    except OSError as error:
        yield findings.unwritable(check, str(directory), error.errno or 0, os.geteuid())


async def _scheduler(settings: ServerSettings, trust: Trust, wait: float | None) -> Findings:
    api = f"{settings.scheduler_url}/api/v1/scheduler"
    source = source_address(settings.public_addr.host, settings.network.source_address)
    status: int | None = None
    shown: str | None = None
    reply = _asked("scheduler", Question(f"{api}/status", accept=_JSON, source=source), trust)
    yield reply if isinstance(reply, Finding) else findings.farm("scheduler", reply.status, reply.body)
    try:
        shown = server_token(settings)
    except ConfigError as error:
        yield failed("token", str(error), "have the scheduler's auth generate-jwt-hs256-server-token make it")
    else:
        if not isinstance(reply, Finding):
            job = Question(f"{api}/job_state/{_NO_JOB}", shown, encode(JOB_STATE, JobState.STARTED), source=source)
            answer = _asked("token", job, trust)
            status = None if isinstance(answer, Finding) else answer.status
        yield findings.token(status)
    if (left := leaves_from(settings.scheduler_url, source)) is not None:
        yield findings.sender(left, settings.public_addr.host, status)
    if not isinstance(reply, Finding) and reply.date is not None:
        yield findings.clocks(datetime.now(UTC), reply.date)
    if not isinstance(reply, Finding) and shown is not None:
        place = SchedulerPlace(settings.scheduler_url, shown, "", trust)
        async for finding in _way(place, source, settings.public_addr.host, wait):
            yield finding


async def _way(place: SchedulerPlace, source: IPAddress | None, own: IPAddress | None, wait: float | None) -> Findings:
    """Ask how a request comes to the scheduler, then whether one may wait there."""
    question = Question(f"{place.url.rstrip('/')}/api/v1/scheduler/way", place.token, source=source)
    reply, left = _asked("way", question, place.trust), leaves_from(place.url, source)
    way = None if isinstance(reply, Finding) else way_of(reply.body)
    if isinstance(reply, Finding):
        yield reply
    elif way is None and reply.status == 401:
        yield warning(
            "way", "the scheduler tells it only to those whose token it takes", "see what it says of the token"
        )
    elif way is None and own is None:
        yield failed("way", f"no scheduler of this release answers there: status {reply.status}", "correct the address")
    elif way is not None and left is not None:  # else it is older, or the published one
        yield senders(way, left, own)
        if secs := hold_secs(way, left, wait):
            began, status, said = time.monotonic(), None, None
            try:
                ended = attrs.evolve(question, url=f"{question.url}?secs={secs:g}").ask(secs + _SECS, place.trust)
                status, said = ended.status, way_of(ended.body)
            except PeerError:
                pass
            yield held(way, secs, time.monotonic() - began, status, said)


async def _gateway(reactor: Any, settings: WorkerSettings, url: str) -> Findings:
    """Ask a gateway for a toolchain that it does not have, as the worker would."""
    file, name = settings.gateway.certificate_file, urlsplit(url).hostname
    known = None if file is None else TrustedCertificates(file, settings.cache_dir / IDENTITY / DIRECTORY)
    policy = CertificatePolicy(None, name) if known is None else known.policy(name or "")
    if known is not None:
        known.load()
    calls = GatewayCalls(url, streams(reactor, policy, ANSWER_BYTES, 1), lambda: settings.gateway.token, lambda: 0)
    try:
        await calls.toolchain(NO_TOOLCHAIN, lambda _: None)
    except PeerError as error:
        yield findings.gateway(url, error.status, str(error))
    finally:
        await calls.close()


async def _public_address(settings: ServerSettings) -> Findings:
    try:
        yield findings.public_address(shown_certificate(settings.public_addr), own_certificate(settings.cache_dir))
    except OSError as error:
        yield warning(
            "public_addr", f"who answers there cannot be told: {error}", "run the doctor as the daemon's user"
        )


async def _own_scheduler(settings: SchedulerSettings, authorities: Path | None) -> Findings:
    trust = Trust()
    try:
        if settings.tls is not None:
            files = CertificateFiles(settings.tls.certificate, settings.tls.private_key)
            yield findings.certificate(datetime.fromtimestamp(files.expires, UTC), datetime.now(UTC))
        trust = trust_in(settings, authorities)
    except ConfigError as error:
        yield failed("tls", str(error), "correct it, or its owner")
    reply = _asked("public_addr", Question(f"{own_url(settings)}/api/v1/scheduler/status", accept=_JSON), trust)
    if isinstance(reply, Finding):
        yield attrs.evolve(reply, level=Level.WARNING, mend="start the scheduler, or see what is in between")
    else:
        yield findings.farm("public_addr", reply.status, reply.body)


async def _service(reactor: Any, check: str, url: str, meaning: Callable[[str, int, bytes], Finding]) -> Findings:
    """Ask a service as the scheduler does: through the same proxy, and where it redirects to."""
    calls = service_calls(reactor, Proxies.of_environment(os.environ))
    try:
        yield meaning(check, 200, await calls.get(url, timeout=ANSWER_SECS, limit=ANSWER_BYTES))
    except PeerError as error:
        if error.status is None:
            yield failed(check, str(error), "correct it, or see what is in between")
        else:
            yield meaning(check, error.status, b"")
    finally:
        await calls.close()


def _asked(check: str, question: Question, trust: Trust) -> Reply | Finding:
    """The answer, or the finding that there is none.

    :raises ConfigError: ``--ca`` is no good.
    """
    try:
        return question.ask(_SECS, trust)
    except PeerError as error:
        return failed(check, f"{question.url} cannot be reached: {error}", "correct it, or see what is in between")
