"""Every series that a worker exports, as :mod:`sccachedist.metrics.server_series` has those of a build server. Pure."""

from sccachedist.config import ConnectionLimits
from sccachedist.metrics.series import Kind, Series, common

#: What can become of a job that came to a worker.
ENDS = ("built", "not_built", "declined", "not_wanted")
#: The series of all roles that are about a port for peers: a worker has none.
_OF_PORTS = (
    "sccachedist_http_requests_total",
    "sccachedist_http_request_seconds",
    "sccachedist_connections",
    "sccachedist_connections_max",
    "sccachedist_limits_hit_total",
    "sccachedist_tls_handshakes_total",
    "sccachedist_certificate_expiry_timestamp_seconds",
    "sccachedist_incidents_total",
)

WORKER = (
    *(row for row in common(ConnectionLimits) if row.name not in _OF_PORTS),
    Series(
        "sccachedist_worker_state",
        Kind.GAUGE,
        "1 for the state that the worker is in.",
        {"state": ("starting", "open", "busy", "unfit", "drained", "leaving")},
    ),
    Series(
        "sccachedist_worker_gateways",
        Kind.GAUGE,
        "Gateways that are dialled, by whether they answer.",
        {"state": ("connected", "away")},
    ),
    Series("sccachedist_worker_slots", Kind.GAUGE, "Jobs that the worker runs at a time, for now."),
    Series(
        "sccachedist_worker_jobs",
        Kind.GAUGE,
        "Jobs that are here: received and run, or on the way back to their gateway.",
        {"state": ("running", "answering")},
    ),
    Series(
        "sccachedist_worker_jobs_ended_total",
        Kind.COUNTER,
        "Jobs that came, by what their gateway was told: a result, that there is none, that another job has the slot; "
        "or it did not want to know any more.",
        {"outcome": ENDS},
    ),
    Series("sccachedist_worker_toolchains", Kind.GAUGE, "Toolchain archives that the worker keeps."),
    Series("sccachedist_worker_toolchain_cache_bytes", Kind.GAUGE, "The bytes of its archives."),
    Series(
        "sccachedist_worker_toolchain_fetches_total",
        Kind.COUNTER,
        "Toolchains that were fetched from a gateway, by what became of that.",
        {"result": ("fetched", "failed", "not_wanted")},
    ),
    Series("sccachedist_worker_fetched_bytes_total", Kind.COUNTER, "Bytes of toolchains that came from gateways."),
    Series("sccachedist_worker_sandboxes", Kind.GAUGE, "Its sandbox workers.", {"state": ("idle", "busy")}),
    Series("sccachedist_worker_sandbox_starts_total", Kind.COUNTER, "Sandbox workers that it started."),
    Series("sccachedist_worker_sandbox_deaths_total", Kind.COUNTER, "Sandbox workers of it that ended by themselves."),
    Series(
        "sccachedist_worker_disk_free_bytes",
        Kind.GAUGE,
        "Room on the disks of cache_dir and builder.build_dir; missing if a disk does not answer.",
        {"directory": ()},
    ),
)
