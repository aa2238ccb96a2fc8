"""Composes a heartbeat from all that this build server knows, and keeps it small enough for its scheduler.

When it is sent, and what the scheduler answers, is not known here: :mod:`sccachedist.server.heartbeat` is for that.
"""

import attrs

from sccachedist import __version__
from sccachedist.config import ServerLimits
from sccachedist.server.job_runner import JobRunner
from sccachedist.server.scheduler_session import Incarnation
from sccachedist.server.tls import ShownIdentity
from sccachedist.toolchains.changes import ToolchainLog
from sccachedist.wire.abilities import Abilities
from sccachedist.wire.bincode import encode
from sccachedist.wire.extension import EXTENDED_HEARTBEAT, JOB_BYTES, MOST_JOBS, ServerReport
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.messages import Heartbeat, JobState


def announcement(
    identity: ShownIdentity,
    runner: JobRunner,
    toolchains: ToolchainLog,
    incarnation: Incarnation,
    cpus: int,
    limits: ServerLimits,
    heartbeat_secs: int,
    news_bytes: int,
    host: HostFacts,
    abilities: Abilities,
    metrics_port: int = 0,
) -> tuple[Heartbeat, ServerReport]:
    """Return the next heartbeat and its report for our scheduler; the nonce changes at each start.

    Both together are no larger than a scheduler with the same ``[limits]`` accepts: news of toolchains wait for the
    next heartbeat, and if that is not enough, jobs are left out, those that have not started first.

    :param heartbeat_secs: seconds to the next heartbeat.
    :param news_bytes: the most bytes of news of toolchains.
    :param host: what is told of the host; the sizes of toolchains are put in here.
    :param abilities: what sets this server apart; for which machines toolchains are is put in here.
    :param metrics_port: the port of this server's metrics at its public IP address; 0 if there is none.
    """
    heartbeat = Heartbeat(
        jwt_key=identity.current.job_key,
        num_cpus=cpus,
        server_nonce=incarnation.nonce,
        cert_digest=identity.current.certificate_digest,
        cert_pem=identity.current.certificate_pem,
    )
    report = ServerReport(
        number=incarnation.number(),
        heartbeat_secs=heartbeat_secs,
        availability=runner.availability,
        jobs=runner.named_jobs,
        toolchains=(),
        health=runner.health,
        version=__version__,
        metrics_port=metrics_port,
        host=host,
        abilities=abilities,
    )
    room = limits.heartbeat_bytes - len(encode(EXTENDED_HEARTBEAT, (heartbeat, report)))
    if room < 0 or len(report.jobs) > MOST_JOBS:
        started_first = sorted(report.jobs, key=lambda job: job[1] is not JobState.STARTED)
        report = attrs.evolve(report, jobs=tuple(started_first[: min(0, room // JOB_BYTES) or None][:MOST_JOBS]))
    news = toolchains.news(min(news_bytes, room))
    return heartbeat, attrs.evolve(
        report,
        toolchains=news.held,
        gone=news.gone,
        since=news.since,
        until=news.until,
        host=attrs.evolve(host, sizes=news.sizes),
        abilities=attrs.evolve(abilities, built_for=news.built_for),
    )
