"""What our own daemons tell each other beyond the published protocol. What follows from it is decided elsewhere.

It stands behind the messages of a heartbeat, where published programs do not look, and in one request of its own. A
build server sends that request only to a scheduler that has shown that it is ours.

The messages of one build server are numbered. So a scheduler recognises a message that another one has overtaken: its
content is older than what the scheduler already knows, but for ends of jobs that no heartbeat had to name.
"""

from enum import Enum
from typing import cast

import attrs

from sccachedist.wire.abilities import ABILITIES, Abilities
from sccachedist.wire.bincode import OCTETS, TEXT, U16, U64, Json, Reader, enumeration, extended, pair, sequence, struct
from sccachedist.wire.host_facts import HOST_FACTS, MOST_TOOLCHAINS, HostFacts
from sccachedist.wire.messages import HEARTBEAT, HEARTBEAT_RESULT, JOB_STATE, JobId, JobState

_MARK, _HEALTH_MARK, _SUMMARIES_MARK = b"sccachedist 1\n", b"sccachedist 2\n", b"sccachedist 3\n"
_PROGRAM_MARK, _HOST_MARK, _ORDERS_MARK = b"sccachedist 4\n", b"sccachedist 5\n", b"sccachedist 6\n"
_ABILITIES_MARK = b"sccachedist 7\n"


class Availability(Enum):
    """Whether a build server takes jobs."""

    OPEN = "Open"
    DRAINING = "Draining"
    GONE = "Gone"


@attrs.frozen
class Health:
    """How a build server fares. A server of an earlier release does not tell.

    :param unfit: why it gets no jobs until its self-test passes; empty if it is fit. It is not ``OPEN`` then.
    :param ended: the jobs that it has ended since its start.
    :param sent_home: those of them that gave no result for a reason that may lie with this server.
    """

    unfit: str = ""
    ended: int = 0
    sent_home: int = 0


@attrs.frozen
class ServerReport:
    """What a build server adds to a heartbeat.

    :param number: of this message, among all messages of this build server since its start.
    :param heartbeat_secs: the most seconds until the next heartbeat.
    :param jobs: all jobs that it knows: Pending while the toolchain arrives, Ready when it is there, Started.
    :param toolchains: archive ids that it has gained since change ``since``. If ``since`` is 0, they are all that it
        had at change ``until``, and the scheduler forgets what it knew before.
    :param gone: archive ids that it has lost since change ``since``.
    :param since: the last change that the scheduler has heard of, as its answer said.
    :param until: the last change that this report covers.
    :param health: None if it does not tell.
    :param version: of its program; empty if it does not tell.
    :param metrics_port: the port of its metrics, at its own IP address; 0 if there is none. Only a server that tells
        its health tells that.
    :param host: its fields are in :mod:`sccachedist.wire.host_facts`; None if it does not tell, or not its health.
    :param abilities: its fields are in :mod:`sccachedist.wire.abilities`; None if it does not tell, or not its host.
    """

    number: int
    heartbeat_secs: int
    availability: Availability
    jobs: tuple[tuple[JobId, JobState], ...]
    toolchains: tuple[str, ...]
    gone: tuple[str, ...] = ()
    since: int = 0
    until: int = 0
    health: Health | None = None
    version: str = ""
    metrics_port: int = 0
    host: HostFacts | None = None
    abilities: Abilities | None = None


@attrs.frozen
class Orders:
    """What an administrator wants a build server to do. It is told so until the scheduler hears that it is done.

    :param kill: jobs to end; what is over already stays so.
    :param forget: archive ids of toolchains to remove as soon as no job uses them.
    """

    kill: tuple[JobId, ...] = ()
    forget: tuple[str, ...] = ()


@attrs.frozen
class SchedulerReport:
    """What a scheduler adds to the answer.

    :param unclaimed: how many jobs it has given to this build server that have not started there.
    :param heartbeat_secs: the least seconds between two heartbeats.
    :param told: it has heard of the changes of the server's toolchains up to this one.
    :param time: the clock by which its job tokens are issued, in seconds since 1970; 0 if it is not sent.
    :param orders: None for none.
    """

    unclaimed: int
    heartbeat_secs: int
    told: int = 0
    time: int = 0
    orders: Orders | None = None


#: Jobs with what became of them, in bytes.
Summaries = tuple[tuple[JobId, bytes], ...]


@attrs.frozen
class JobStates:
    """The states of several jobs of one build server, in one message.

    :param server_nonce: the nonce of its heartbeats.
    :param number: of this message, see :class:`ServerReport`.
    :param summaries: of jobs that are Complete, each as its bytes (:mod:`sccachedist.wire.job_summary`). A job of an
        earlier release's server has none, nor one that it dropped before it began.
    """

    server_nonce: int
    number: int
    states: tuple[tuple[JobId, JobState], ...]
    summaries: Summaries = ()


#: The most jobs in one message, as :data:`MOST_TOOLCHAINS` of toolchains: more would hold up all other requests.
MOST_JOBS = 4096

#: The most jobs to end, and toolchains to forget, in one answer: the rest is in the next one.
MOST_KILLED, MOST_FORGOTTEN = 4096, 64

_STATES = sequence(pair(U64, JOB_STATE), MOST_JOBS)

_REPORT = extended(
    struct(
        ServerReport,
        number=U64,
        heartbeat_secs=U64,
        availability=enumeration(Availability),
        jobs=_STATES,
        toolchains=sequence(TEXT, MOST_TOOLCHAINS),
        gone=sequence(TEXT, MOST_TOOLCHAINS),
        since=U64,
        until=U64,
    ),
    _HEALTH_MARK,
    extended(
        struct(Health, unfit=TEXT, ended=U64, sent_home=U64),
        _PROGRAM_MARK,
        extended(pair(TEXT, U16), _HOST_MARK, extended(HOST_FACTS, _ABILITIES_MARK, ABILITIES)),
    ),
)
#: What stands behind a server's health: its program's version and port, then its host and abilities.
_Host = tuple[HostFacts, Abilities | None]
_Program = tuple[tuple[str, int], _Host | None]


class _ReportCodec:
    """A report with what stands behind it: health, version and port of the metrics, host, abilities."""

    def write(self, value: ServerReport, out: bytearray) -> None:
        _REPORT.write((value, self._behind(value)), out)

    def read(self, source: Reader) -> ServerReport:
        report, behind = _REPORT.read(source)
        health, program = behind or (None, None)
        (version, port), place = program or (("", 0), None)
        host, abilities = place or (None, None)
        return attrs.evolve(report, health=health, version=version, metrics_port=port, host=host, abilities=abilities)

    def to_json(self, value: ServerReport) -> Json:
        return _REPORT.to_json((value, self._behind(value)))

    @staticmethod
    def _behind(value: ServerReport) -> tuple[Health, _Program | None] | None:
        tells_program = value.version or value.metrics_port or value.host is not None
        host = None if value.host is None else (value.host, value.abilities)
        program = ((value.version, value.metrics_port), host) if tells_program else None
        return None if value.health is None else (value.health, program)


SERVER_REPORT = _ReportCodec()
EXTENDED_HEARTBEAT = extended(HEARTBEAT, _MARK, SERVER_REPORT)

_ANSWER = extended(
    struct(SchedulerReport, unclaimed=U64, heartbeat_secs=U64, told=U64, time=U64),
    _ORDERS_MARK,
    struct(Orders, kill=sequence(U64, MOST_KILLED), forget=sequence(TEXT, MOST_FORGOTTEN)),
)


class _AnswerCodec:
    """A scheduler's report with orders behind it."""

    def write(self, value: SchedulerReport, out: bytearray) -> None:
        _ANSWER.write((value, value.orders), out)

    def read(self, source: Reader) -> SchedulerReport:
        report, orders = _ANSWER.read(source)
        return report if orders is None else attrs.evolve(report, orders=orders)

    def to_json(self, value: SchedulerReport) -> Json:
        return _ANSWER.to_json((value, None))


SCHEDULER_REPORT = _AnswerCodec()
EXTENDED_HEARTBEAT_RESULT = extended(HEARTBEAT_RESULT, _MARK, SCHEDULER_REPORT)
#: The bytes of one job in a report, and those of one toolchain besides its name: the length of that, its size, and its
#: machine.
JOB_BYTES, TOOLCHAIN_BYTES = 12, 18

_JOB_STATES = extended(
    struct(JobStates, server_nonce=U64, number=U64, states=_STATES),
    _SUMMARIES_MARK,
    sequence(pair(U64, OCTETS), MOST_JOBS),
)


class _JobStatesCodec:
    """States of jobs with the summaries behind them."""

    def write(self, value: JobStates, out: bytearray) -> None:
        _JOB_STATES.write((value, value.summaries or None), out)

    def read(self, source: Reader) -> JobStates:
        states, summaries = _JOB_STATES.read(source)
        return states if summaries is None else attrs.evolve(states, summaries=cast(Summaries, summaries))

    def to_json(self, value: JobStates) -> Json:
        return _JOB_STATES.to_json((value, None))


JOB_STATES = _JobStatesCodec()
