"""Every series that a build server exports, as :mod:`sccachedist.metrics.series` has those of a scheduler. Pure."""

from sccachedist.config import ServerLimits
from sccachedist.metrics.series import Kind, Series, common, words_of
from sccachedist.outcomes import SERVER_PHASES, Outcome, SentLocal, Suspicion

#: The upper bounds of histograms' buckets: seconds of jobs and of the phases of one; bytes from 64 MiB to 16 GiB.
JOB_SECS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
PHASE_SECS = (0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 300)
MEMORY_BYTES = tuple(float(1 << power) for power in range(26, 35))

SERVER = (
    *common(ServerLimits),
    Series(
        "sccachedist_server_jobs_ended_total",
        Kind.COUNTER,
        "Jobs that are over, by what became of them.",
        {"outcome": words_of((Outcome.COMPILED, Outcome.COMPILE_ERROR, Outcome.SENT_LOCAL, Outcome.UNCLAIMED))},
    ),
    Series(
        "sccachedist_server_sent_local_total",
        Kind.COUNTER,
        "Jobs whose client compiles locally, by the reason.",
        {"reason": words_of(SentLocal)},
    ),
    Series(
        "sccachedist_server_suspicions_total",
        Kind.COUNTER,
        "Failed compiles that may be the farm's fault, by what is suspicious.",
        {"kind": words_of(Suspicion)},
    ),
    Series(
        "sccachedist_server_job_phase_seconds",
        Kind.HISTOGRAM,
        "What the time of a job went into.",
        {"phase": words_of(SERVER_PHASES)},
        PHASE_SECS,
    ),
    Series(
        "sccachedist_server_job_seconds",
        Kind.HISTOGRAM,
        "All phases of a job together, but for those at its client.",
        {},
        JOB_SECS,
    ),
    Series(
        "sccachedist_server_job_cpu_seconds_total",
        Kind.COUNTER,
        "CPU time of jobs, sandboxes included.",
        {"mode": ("user", "system")},
    ),
    Series(
        "sccachedist_server_job_memory_peak_bytes",
        Kind.HISTOGRAM,
        "The most memory that one process of a job had at a time.",
        {},
        MEMORY_BYTES,
    ),
    Series(
        "sccachedist_server_received_bytes_total",
        Kind.COUNTER,
        "Bytes of toolchains and inputs that clients of jobs sent.",
        {"kind": ("toolchain", "inputs")},
    ),
    Series("sccachedist_server_sent_bytes_total", Kind.COUNTER, "Bytes of answers of jobs."),
    Series(
        "sccachedist_server_sandboxes_total",
        Kind.COUNTER,
        "Sandboxes of jobs that ran, by whether they stood ready.",
        {"prepared": ("yes", "no")},
    ),
    Series(
        "sccachedist_server_jobs",
        Kind.GAUGE,
        "Jobs that are here, by phase.",
        {"state": ("pending", "ready", "started")},
    ),
    Series(
        "sccachedist_server_slots", Kind.GAUGE, "Jobs that the scheduler gives this build server at a time, for now."
    ),
    Series(
        "sccachedist_server_state",
        Kind.GAUGE,
        "1 for the state that the build server is in.",
        {"state": ("starting", "open", "busy", "unfit", "drained", "leaving")},
    ),
    Series("sccachedist_server_registered", Kind.GAUGE, "1 while the scheduler has taken the last heartbeat."),
    Series(
        "sccachedist_server_heartbeats_total",
        Kind.COUNTER,
        "Heartbeats that the scheduler took, refused, or did not get.",
        {"result": ("taken", "refused", "unreached")},
    ),
    Series(
        "sccachedist_server_reports_waiting",
        Kind.GAUGE,
        "States of jobs that the scheduler has not been told yet.",
    ),
    Series(
        "sccachedist_server_last_heartbeat_timestamp_seconds",
        Kind.GAUGE,
        "When the scheduler last took one; missing before the first.",
    ),
    Series("sccachedist_server_toolchains", Kind.GAUGE, "Toolchain archives that are kept."),
    Series("sccachedist_server_toolchain_cache_bytes", Kind.GAUGE, "The bytes of these archives."),
    Series("sccachedist_server_toolchain_cache_max_bytes", Kind.GAUGE, "The most bytes that they may have."),
    Series(
        "sccachedist_server_toolchain_requests_total",
        Kind.COUNTER,
        "Jobs that found their toolchain here when they came, and those that did not.",
        {"result": ("present", "missing")},
    ),
    Series(
        "sccachedist_server_toolchain_uploads_total",
        Kind.COUNTER,
        "Toolchains that came in whole: stored, not_wanted for another upload was quicker, refused for their digest or "
        "for want of room.",
        {"result": ("stored", "not_wanted", "refused")},
    ),
    Series(
        "sccachedist_server_toolchain_fetches_total",
        Kind.COUNTER,
        "Toolchains that were looked for in the farm or in the object store: fetched, failed, or not_wanted: a client "
        "was quicker.",
        {"source": ("servers", "store"), "result": ("fetched", "failed", "not_wanted")},
    ),
    Series(
        "sccachedist_server_toolchain_fetched_bytes_total",
        Kind.COUNTER,
        "Bytes of toolchains that came from elsewhere in the farm, or from the object store.",
        {"source": ("servers", "store")},
    ),
    Series(
        "sccachedist_server_toolchain_loans_total",
        Kind.COUNTER,
        "Toolchains that other build servers asked for: sent, failed on the way, busy for enough are being sent, or "
        "missing here.",
        {"result": ("sent", "failed", "busy", "missing")},
    ),
    Series(
        "sccachedist_server_toolchain_keeps_total",
        Kind.COUNTER,
        "Toolchains that clients brought, for the object store to keep: kept, there already, or failed.",
        {"result": ("kept", "there", "failed")},
    ),
    Series(
        "sccachedist_server_toolchain_evictions_total",
        Kind.COUNTER,
        "Toolchains that were removed: to make room for another, or for they were damaged, or unwanted by an "
        "administrator.",
        {"reason": ("room", "damaged", "unwanted")},
    ),
    Series("sccachedist_server_workers", Kind.GAUGE, "Sandbox workers.", {"state": ("idle", "busy")}),
    Series("sccachedist_server_worker_starts_total", Kind.COUNTER, "Sandbox workers that were started."),
    Series("sccachedist_server_worker_deaths_total", Kind.COUNTER, "Sandbox workers that ended by themselves."),
    Series("sccachedist_gateway_workers", Kind.GAUGE, "Workers that are connected and take jobs; only at a gateway."),
    Series("sccachedist_gateway_cpus", Kind.GAUGE, "The CPUs of these workers."),
    Series(
        "sccachedist_gateway_jobs",
        Kind.GAUGE,
        "Jobs whose inputs are here: waiting for a worker, or given to one.",
        {"state": ("waiting", "given")},
    ),
    Series(
        "sccachedist_gateway_jobs_moved_total",
        Kind.COUNTER,
        "Jobs that came back from a worker, for another one to get them: the worker was lost, the transfer broke off, "
        "or it had no room after all.",
        {"reason": ("lost", "broken", "busy")},
    ),
    Series(
        "sccachedist_server_disk_free_bytes",
        Kind.GAUGE,
        "Room on the disks of cache_dir and builder.build_dir; missing if a disk does not answer.",
        {"directory": ()},
    ),
)
