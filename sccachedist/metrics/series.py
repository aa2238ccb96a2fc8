"""Every series that a scheduler exports: its name, kind, labels and meaning, as data; and what both roles have.

Those of a build server are in :mod:`sccachedist.metrics.server_series`. The registry makes them from these tables, and
so does the documentation. Pure: where a value comes from is not known here. A label that can have any value has a bound
elsewhere: routes and statuses are those of the code, and series of a build server are exported for those that live. No
label holds a name, a token or a number that a client chooses.
"""

from collections.abc import Iterable, Mapping
from enum import Enum

import attrs

from sccachedist.config import ConnectionLimits, SchedulerLimits
from sccachedist.outcomes import Outcome, Refusal, SentLocal, Word
from sccachedist.records.documents import SERVER_STATES

#: The upper bounds of histograms' buckets, in seconds: how late the reactor is, how long a client waits for a slot, and
#: how long a request takes.
LAG_SECS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
WAIT_SECS = (0.001, 0.1, 1, 5, 10, 20, 30, 60, 120)
ASSIGN_SECS = (0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10)
REQUEST_SECS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10, 60, 600)
#: The only series that the registry itself has the value of.
COLLECTION_SECONDS = "sccachedist_metrics_collection_seconds"


class Kind(Enum):
    """What the values of a series are."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@attrs.frozen
class Series:
    """One row of the table.

    :param labels: each with the values that are known beforehand; they are exported from the start, for the rate of a
        series that begins with its first event is wrong.
    :param buckets: upper bounds of a histogram.
    """

    name: str
    kind: Kind
    about: str
    labels: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    buckets: tuple[float, ...] = ()


def _keys(limits: type[ConnectionLimits]) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(limits))


def words_of(words: Iterable[Word]) -> tuple[str, ...]:
    """The values of a label that has words of :mod:`sccachedist.outcomes`."""
    return tuple(word.word for word in words)


def common(limits: type[ConnectionLimits]) -> tuple[Series, ...]:
    """The series of both roles.

    :param limits: the role's.
    """
    return (
        Series(
            "sccachedist_build_info",
            Kind.GAUGE,
            "1, with what runs as labels.",
            {"role": (), "version": (), "python": (), "twisted": ()},
        ),
        Series(
            "sccachedist_http_requests_total",
            Kind.COUNTER,
            "Requests that were answered, by route and status; the route of a request that finds none is unknown.",
            {"route": (), "code": ()},
        ),
        Series(
            "sccachedist_http_request_seconds",
            Kind.HISTOGRAM,
            "Time from the headers of a request to the end of its response.",
            {"route": ()},
            REQUEST_SECS,
        ),
        Series("sccachedist_connections", Kind.GAUGE, "Open connections."),
        Series("sccachedist_connections_max", Kind.GAUGE, "Connections that may be open at a time."),
        Series(
            "sccachedist_limits_hit_total",
            Kind.COUNTER,
            "Limits that peers and jobs have hit, by their key under [limits].",
            {"limit": _keys(limits)},
        ),
        Series(
            "sccachedist_tls_handshakes_total",
            Kind.COUNTER,
            "TLS handshakes of incoming connections, by how they ended.",
            {"result": ("done", "failed")},
        ),
        Series(
            "sccachedist_certificate_expiry_timestamp_seconds",
            Kind.GAUGE,
            "When the certificate that is shown to peers expires; missing without TLS.",
        ),
        Series(
            "sccachedist_config_reload_success_timestamp_seconds",
            Kind.GAUGE,
            "When the configuration was last read without an error: at the start, or again.",
        ),
        Series(
            "sccachedist_config_reload_failed",
            Kind.GAUGE,
            "1 if it was read again later and could not be used, so that all is as it was.",
        ),
        Series("sccachedist_incidents_total", Kind.COUNTER, "Unforeseen errors; the log has each."),
        Series(
            "sccachedist_log_events_total",
            Kind.COUNTER,
            "Events in the log, by level; those that repeat are counted there, and have no event of their own.",
            {"level": ("critical", "error", "warn", "info", "debug")},
        ),
        Series(
            "sccachedist_event_loop_lag_seconds",
            Kind.HISTOGRAM,
            "How late the daemon was at a task that is due each second.",
            {},
            LAG_SECS,
        ),
        Series(COLLECTION_SECONDS, Kind.GAUGE, "How long it took to render these series the last time."),
    )


SCHEDULER = (
    *common(SchedulerLimits),
    Series(
        "sccachedist_scheduler_allocations_total",
        Kind.COUNTER,
        "Requests for a slot: allocated, or why there was none.",
        {"outcome": ("allocated", *words_of(Refusal))},
    ),
    Series(
        "sccachedist_scheduler_jobs_outcome_total",
        Kind.COUNTER,
        "Jobs that are over, by what became of them; a published build server does not tell (untold).",
        {"outcome": words_of(outcome for outcome in Outcome if outcome is not Outcome.REFUSED)},
    ),
    Series(
        "sccachedist_scheduler_sent_local_total",
        Kind.COUNTER,
        "Jobs whose client compiled locally, by the reason that their build server told.",
        {"reason": words_of(SentLocal)},
    ),
    Series(
        "sccachedist_scheduler_queue_wait_seconds",
        Kind.HISTOGRAM,
        "How long the requests waited that got a slot, observed when their job is over.",
        {},
        WAIT_SECS,
    ),
    Series(
        "sccachedist_scheduler_assignments_total",
        Kind.COUNTER,
        "Reservations: presumed to be taken, by a build server that has proven itself; taken, refused or not answered "
        "by one that was asked.",
        {"result": ("presumed", "taken", "refused", "unreached")},
    ),
    Series(
        "sccachedist_scheduler_assign_seconds",
        Kind.HISTOGRAM,
        "How long build servers took to say whether they take a job, or until they were given up.",
        {},
        ASSIGN_SECS,
    ),
    Series("sccachedist_scheduler_waiting_clients", Kind.GAUGE, "Requests that wait for a slot now."),
    Series(
        "sccachedist_scheduler_oldest_wait_seconds", Kind.GAUGE, "How long the first of them has waited; 0 without any."
    ),
    Series(
        "sccachedist_scheduler_jobs",
        Kind.GAUGE,
        "Jobs that are not over, by phase.",
        {"state": ("reserved", "pending", "ready", "started")},
    ),
    Series(
        "sccachedist_scheduler_jobs_ended_total",
        Kind.COUNTER,
        "Jobs that are over, by how the scheduler knows: complete as the build server reported, not_taken by it, lost "
        "if it no longer names the job, expired if the client did not come, server_left with all its jobs.",
        {"how": ("complete", "not_taken", "lost", "expired", "server_left")},
    ),
    Series(
        "sccachedist_scheduler_jobs_adopted_total",
        Kind.COUNTER,
        "Jobs from before the scheduler's start that build servers named.",
    ),
    Series(
        "sccachedist_scheduler_records_dropped_total",
        Kind.COUNTER,
        "Records that are not in the file of records: its disk was full, or did not answer in time.",
    ),
    Series(
        "sccachedist_scheduler_slots_lent_total",
        Kind.COUNTER,
        "Slots that others got because the client of their job did not come soon.",
    ),
    Series(
        "sccachedist_scheduler_build_servers",
        Kind.GAUGE,
        "Build servers; each is in one state.",
        {"state": SERVER_STATES},
    ),
    Series("sccachedist_scheduler_build_servers_published", Kind.GAUGE, "Those that run the published program."),
    Series(
        "sccachedist_scheduler_outdated_secrets_total",
        Kind.COUNTER,
        "Requests with a secret from before a rotation: when it stands still, the previous one can go.",
        {"peer": ("client", "server")},
    ),
    Series("sccachedist_scheduler_cpus", Kind.GAUGE, "CPUs of all build servers."),
    Series("sccachedist_scheduler_slots", Kind.GAUGE, "Slots of the build servers that take jobs."),
    Series("sccachedist_scheduler_build_servers_joined_total", Kind.COUNTER, "Build servers that came or came back."),
    Series(
        "sccachedist_scheduler_build_servers_lost_total",
        Kind.COUNTER,
        "Build servers that left: silent ones, those that said that they are gone, those replaced at their address "
        "(also by themselves, restarted), those revoked, and silent ones that an administrator wanted forgotten.",
        {"reason": ("silent", "gone", "replaced", "revoked", "forgotten")},
    ),
    Series(
        "sccachedist_scheduler_build_servers_avoided_total",
        Kind.COUNTER,
        "How often a build server was avoided for a while: it did not take a job, or sends far more jobs home than the "
        "others.",
        {"reason": ("not_taken", "sends_home")},
    ),
    Series("sccachedist_scheduler_toolchains", Kind.GAUGE, "Different toolchains that build servers hold."),
    Series(
        "sccachedist_scheduler_client_slots",
        Kind.GAUGE,
        "Jobs that are not over, by the client's name in clients.file; _default has those of all others.",
        {"client": ()},
    ),
    Series(
        "sccachedist_scheduler_client_waiting",
        Kind.GAUGE,
        "Requests that wait for a slot, in the same way.",
        {"client": ()},
    ),
    Series(
        "sccachedist_scheduler_client_token_expiry_timestamp_seconds",
        Kind.GAUGE,
        "When the first token ends that the client has shown within a day; missing if none of them ends.",
        {"client": ()},
    ),
    Series("sccachedist_scheduler_leads", Kind.GAUGE, "1 if this scheduler decides, as the only one always does."),
    Series("sccachedist_scheduler_terms_total", Kind.COUNTER, "How often this scheduler has begun to lead."),
    Series(
        "sccachedist_scheduler_lock_unanswered_total",
        Kind.COUNTER,
        "Questions that the store of the lock has not answered in time, or refused.",
    ),
    Series(
        "sccachedist_scheduler_passed_on_total",
        Kind.COUNTER,
        "Requests that came while this scheduler did not lead: answered by the leader, or here when this one came to "
        "lead; no_leader was found in time, or the sender_gone before.",
        {"outcome": ("answered", "here", "no_leader", "sender_gone")},
    ),
    Series("sccachedist_scheduler_viewers", Kind.GAUGE, "Pages and programs that follow the farm live."),
)

#: At /metrics/servers of a scheduler: its view of each build server, which published ones do not export themselves.
SERVERS = tuple(
    Series(f"sccachedist_scheduler_server_{name}", kind, about, {"server": ()})
    for name, kind, about in (
        ("slots", Kind.GAUGE, "Jobs that the build server takes at a time."),
        ("slots_taken", Kind.GAUGE, "Slots that are in use."),
        ("jobs", Kind.GAUGE, "Jobs of the build server, those included that have lent their slots."),
        ("drained", Kind.GAUGE, "1 if an administrator drained it."),
        ("open", Kind.GAUGE, "1 if it accepts jobs (it may be full)."),
        ("busy", Kind.GAUGE, "1 if it offers no slot for now: its host has other work, or no memory for one more job."),
        ("unfit", Kind.GAUGE, "1 if it gets no jobs until its self-test passes."),
        ("avoided_seconds", Kind.GAUGE, "For how long it still gets jobs only if no other has room."),
        ("sent_home_ratio", Kind.GAUGE, "Which part of its latest jobs it sent home."),
        ("toolchains", Kind.GAUGE, "Toolchains that it is known to hold."),
        ("last_seen_timestamp_seconds", Kind.GAUGE, "When it was last heard of."),
    )
)
