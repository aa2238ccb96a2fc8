"""The JSON documents that a scheduler's API gives and that the commands print: their keys, as types.

Each has a key ``v``, the version of its shape: 1. Times are seconds since 1970, durations are seconds, ids of jobs are
text, and what is not known is null. ``doc/api`` describes the routes.

A query may have ``since``, how many seconds to look back: commands give that rather than a time, for clocks differ.
What chooses records is as in :class:`~sccachedist.records.selection.Selection`.
"""

from typing import Any, Literal, TypedDict, get_args

ServerState = Literal["open", "full", "busy", "avoided", "draining", "unfit"]
#: All of them, in the order in which they are counted.
SERVER_STATES: tuple[ServerState, ...] = get_args(ServerState)


class MeDocument(TypedDict):
    """``GET /api/v1/farm/me``: who asks, and the farm's title; ``view``: who may look, as ``[web] view`` says."""

    v: int
    role: str  # anyone, client, viewer or administrator
    name: str | None
    title: str
    view: str


class Attention(TypedDict):
    """Something that an administrator should look at."""

    critical: bool
    about: str
    text: str
    mend: str


class Recent(TypedDict):
    """Requests that ended lately, by what became of them.

    ``secs`` is how far back it looks; less than asked if the scheduler has not run, or does not remember, for so long.
    ``outcomes``, ``refusals`` and ``sent_local`` count by word.
    """

    secs: float
    outcomes: dict[str, int]
    refusals: dict[str, int]
    sent_local: dict[str, int]


class DrainRow(TypedDict):
    """Why an administrator wants a build server to get no jobs. ``until``: when that ends by itself."""

    by: str
    reason: str
    since: float
    until: float | None


class PauseRow(TypedDict):
    """Why an administrator wants no request to get a slot."""

    by: str
    reason: str
    since: float


class SchedulerRow(TypedDict):
    """One of several schedulers, as the one that leads sees it. ``since``: when its state began."""

    url: str
    state: str | None  # leads, follows or silent; None at first
    since: float | None
    number: int | None  # of its term, if it leads
    version: str | None
    store_silent_since: float | None
    differs: list[str]  # what of its configuration is not as the leader's: see sccachedist.cluster.agreement


class StatusDocument(TypedDict):
    """``GET /api/v1/farm/status``: the farm at a glance. ``schedulers``: all of ``[cluster]``; none without it.

    ``workers`` are those of all gateways, which are build servers, too.
    """

    v: int
    version: str
    up_secs: float
    servers: dict[str, int]  # by ServerState, each server in one
    published: int
    workers: int
    cpus: int
    slots: int
    running: int
    waiting: int
    oldest_wait_secs: float | None
    recent: Recent
    attention: list[Attention]
    paused: PauseRow | None
    schedulers: list[SchedulerRow]


class DiskFree(TypedDict):
    """Bytes that are free where a build server's ``cache_dir`` and ``build_dir`` lie."""

    cache: int | None
    build: int | None


class ServerUpload(TypedDict):
    """A toolchain that a client is bringing to a build server, and the bytes that are there."""

    toolchain: str
    bytes: int


class WorkersRow(TypedDict):
    """The workers of a gateway that are connected and take jobs, and their CPUs."""

    live: int
    cpus: int


class ServerRow(TypedDict):
    """A build server. ``why`` says what keeps it from new jobs; it is empty if nothing does.

    ``machine`` is that of its host, ``machines`` are those whose programs it runs. ``load`` is in processes, memory and
    disks in bytes; all of it is rounded. ``speed``: 2 if it compiles in half the time that the farm takes with the same
    toolchains. ``workers``: null if it is no gateway, or does not tell.
    """

    address: str
    name: str | None
    machine: str | None
    machines: list[str]
    labels: list[str]
    state: ServerState
    why: str
    published: bool
    version: str | None
    cpus: int
    workers: WorkersRow | None
    slots: int
    taken: int
    jobs: int
    ended: int | None
    sent_local: int | None
    sent_local_share: float | None
    toolchains: int | None
    up_secs: float
    seen_secs: float
    load: float | None
    memory_free: int | None
    memory_total: int | None
    disk_free: DiskFree
    uploads: list[ServerUpload]
    speed: float | None
    certificate_expires: float | None
    drain: DrainRow | None


class ServersDocument(TypedDict):
    """``GET /api/v1/farm/servers``."""

    v: int
    servers: list[ServerRow]


#: One request that is over; ``scheduler`` and ``term``: which of several led then, and the number of its term. The
#: functional form, for ``in`` is a word of Python.
JobRow = TypedDict(
    "JobRow",
    {
        "v": int,
        "id": str | None,
        "asked": float,
        "ended": float,
        "client": str | None,
        "server": str | None,
        "toolchain": str | None,
        "outcome": str,
        "reason": str | None,
        "kind": str | None,
        "detail": str | None,
        "exit": int | None,
        "output": str | None,
        "compiler": str | None,
        "phases": dict[str, float],
        "slot": int | None,
        "cpu_user": float | None,
        "cpu_system": float | None,
        "memory": int | None,
        "in": int | None,
        "out": int | None,
        "uploaded": int | None,
        "prewarmed": bool | None,
        "scheduler": str | None,
        "term": int | None,
    },
)


class RunningRow(TypedDict):
    """A job that is not over. ``phase`` is one of :class:`~sccachedist.job_phases.JobPhase`, in small letters."""

    id: str
    client: str | None
    server: str
    toolchain: str | None
    phase: str
    secs: float


class JobsDocument(TypedDict):
    """``GET /api/v1/farm/jobs``: records, the latest first, and the jobs that are not over.

    Queries: ``since``, ``client``, ``server``, ``outcome``, ``reason``, ``output``, ``limit``, ``before``.
    ``since``: records before this time are not remembered. ``next``: what to give as ``before`` for the next page.
    """

    v: int
    since: float
    jobs: list[JobRow]
    running: list[RunningRow]
    next: str | None


class Notice(TypedDict):
    """Something that happened in the farm. ``by``: the name of the person who did it, if one did.

    ``kind``: server_joined, server_left, server_avoided, server_unfit, server_drained, refused (a token was not
    accepted), action (of an administrator), or leader (one of several schedulers leads).
    """

    at: float
    kind: str
    about: str
    text: str
    by: str | None


class NoticesDocument(TypedDict):
    """``GET /api/v1/farm/notices``: the latest ones, the oldest first."""

    v: int
    notices: list[Notice]


class Sample(TypedDict):
    """The farm in the ten seconds until a time. What is not known, because there was nothing, is null.

    ``remote``: the part of the requests whose compile a build server did; ``sent_local``: the part whose job a build
    server gave back. ``compiles``: those of build servers, a second.
    """

    until: float
    remote: float | None
    slots_used: int
    waiting: int
    compiles: float
    sent_local: float | None
    servers: int


class Rates(TypedDict):
    """The farm now. ``slots_used`` are the taken ones and all; the parts are those of the last five minutes."""

    remote: float | None
    slots_used: list[int]
    waiting: int
    compiles_per_sec: float
    sent_local_share: float | None
    servers: dict[str, int]


class JobDocument(TypedDict):
    """``GET /api/v1/farm/jobs/ID``: one job, whose number ends with ID. ``job`` is null while it runs.

    No or several such jobs are answered with 404 and a ``description``.
    """

    v: int
    job: JobRow | None
    running: RunningRow | None


class RefusalCount(TypedDict):
    """Requests of one client that got no slot for one reason; ``server_lost`` are those that got one and no result."""

    reason: str
    count: int
    first: float
    last: float
    detail: str | None


class WhyDocument(TypedDict):
    """``GET /api/v1/farm/why?name=NAME``: the latest records whose output ends with NAME, and refusals of the asker.

    The asker's own records come first.
    """

    v: int
    since: float
    jobs: list[JobRow]
    refusals: list[RefusalCount]


#: A client, by name or address, with what it has, its share of a full farm, and what it had lately; without a bound,
#: ``max_slots`` is null. The functional form, for ``class`` is a word of Python.
ClientRow = TypedDict(
    "ClientRow",
    {
        "client": str,
        "holds": int,
        "waits": int,
        "weight": float,
        "max_slots": int | None,
        "class": str,
        "recent": Recent,
        "slot_secs": float,
    },
)


class ClientsDocument(TypedDict):
    """``GET /api/v1/farm/clients``."""

    v: int
    since: float
    clients: list[ClientRow]


class UsageRow(TypedDict):
    """What one client, server, toolchain or compiler used."""

    name: str
    jobs: int
    outcomes: dict[str, int]
    slot_secs: float
    cpu_secs: float
    wait_secs: float


class UsageDocument(TypedDict):
    """``GET /api/v1/farm/usage?by=client``, or ``server``, ``toolchain``, ``compiler``; and ``since``.

    ``usage`` is as :func:`~sccachedist.records.usage.usage_of` makes it.
    """

    v: int
    since: float
    by: str
    usage: list[UsageRow]


class TraceDocument(TypedDict):
    """``GET /api/v1/farm/trace``: a Chrome trace, as :func:`~sccachedist.records.trace.chrome_trace` makes it.

    Queries: ``since``, ``client``, ``server``. It has no ``v``: the form is that of its readers.
    """

    traceEvents: list[dict[str, Any]]
    displayTimeUnit: str


class DoneRow(TypedDict):
    """One thing that an action did, or would do, in a sentence. ``found``: whether what it is about is there now."""

    about: str
    text: str
    found: bool


class ActionDocument(TypedDict):
    """The answer to ``POST /api/v1/admin/actions``."""

    v: int
    text: str
    done: list[DoneRow]


class SettingsDocument(TypedDict):
    """``GET /api/v1/admin/settings``: a digest of each value of the configuration in force, by dotted key.

    :func:`~sccachedist.config.changes.digests` makes them with the salt, which is in hexadecimal.
    """

    v: int
    salt: str
    keys: dict[str, str]
