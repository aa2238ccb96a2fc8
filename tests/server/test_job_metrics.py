"""What a build server counts of its jobs."""

from sccachedist.metrics.registry import Registry
from sccachedist.metrics.server_series import SERVER
from sccachedist.outcomes import SERVER_PHASES, Outcome, SentLocal, Suspicion
from sccachedist.server.job_metrics import JobMetrics
from sccachedist.wire.job_summary import JobSummary
from sccachedist.wire.messages import JobId
from tests.metrics.exposed import exposed

AT = "sccachedist_server_"
PHASES = tuple(range(1000, 1000 * (len(SERVER_PHASES) + 1), 1000))
COMPILED = JobSummary(
    Outcome.COMPILED,
    exit_code=0,
    prewarmed=True,
    phases_us=PHASES,
    cpu_user_us=300_000,
    cpu_system_us=50_000,
    peak_memory_bytes=100 << 20,
    input_bytes=5,
    output_bytes=7,
)
SUSPICIOUS = JobSummary(
    Outcome.SENT_LOCAL, SentLocal.SUSPICIOUS, Suspicion.KILLED.word, peak_memory_bytes=1, uploaded_bytes=9
)
REFUSED = JobSummary(Outcome.SENT_LOCAL, SentLocal.LIMIT, "inputs_bytes")


def test_jobs() -> None:
    """Each is counted by what became of it, and what it took if it ran; what was turned away, by its reason."""
    registry = Registry([row for row in SERVER if row.name.startswith(AT) or row.name.endswith("collection_seconds")])
    jobs = JobMetrics(registry)
    for job in (COMPILED, SUSPICIOUS, REFUSED):
        jobs.ended(JobId(7), "127.0.0.1", job, b"")
    jobs.ended(None, "127.0.0.1", JobSummary(Outcome.SENT_LOCAL, SentLocal.STALE_TOKEN), b"")
    found = exposed(registry.exposition("")[1])
    expected = {
        "jobs_ended_total{compiled}": 1,
        "jobs_ended_total{sent_local}": 2,
        "jobs_ended_total{compile_error}": 0,
        "sent_local_total{suspicious}": 1,
        "sent_local_total{limit}": 1,
        "sent_local_total{stale_token}": 1,
        "suspicions_total{killed}": 1,
        "suspicions_total{verify}": 0,
        "job_phase_seconds_count{compile}": 1,
        "job_seconds_count": 3,
        "job_seconds_sum": sum(PHASES) / 1e6,
        "job_cpu_seconds_total{user}": 0.3,
        "job_cpu_seconds_total{system}": 0.05,
        "job_memory_peak_bytes_count": 2,
        "received_bytes_total{toolchain}": 9,
        "received_bytes_total{inputs}": 5,
        "sent_bytes_total": 7,
        "sandboxes_total{yes}": 1,
        "sandboxes_total{no}": 1,
    }
    assert {name: found[AT + name] for name in expected} == expected
