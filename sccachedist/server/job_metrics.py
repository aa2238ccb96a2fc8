"""Counts what became of a build server's jobs and what they took, from the summary of each."""

from collections import Counter

from sccachedist.metrics.registry import Registry
from sccachedist.outcomes import SERVER_PHASES, SentLocal
from sccachedist.wire.job_summary import JobSummary
from sccachedist.wire.messages import JobId


class JobMetrics:
    """The series of a build server about jobs that are over.

    :param registry: of all its series.
    """

    def __init__(self, registry: Registry) -> None:
        self._outcomes: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._suspicions: Counter[str] = Counter()
        self._user_us = self._system_us = self._uploaded = self._received = self._sent = 0
        self._sandboxes = {True: 0, False: 0}
        read, at = registry.read, "sccachedist_server_"
        read(f"{at}jobs_ended_total", lambda: self._outcomes)
        read(f"{at}sent_local_total", lambda: self._reasons)
        read(f"{at}suspicions_total", lambda: self._suspicions)
        read(f"{at}job_cpu_seconds_total", lambda: {"user": self._user_us / 1e6, "system": self._system_us / 1e6})
        read(f"{at}received_bytes_total", lambda: {"toolchain": self._uploaded, "inputs": self._received})
        read(f"{at}sent_bytes_total", lambda: self._sent)
        read(f"{at}sandboxes_total", lambda: {"yes": self._sandboxes[True], "no": self._sandboxes[False]})
        phases = registry.histograms(f"{at}job_phase_seconds")
        self._phases = [phases[phase.word].observe for phase in SERVER_PHASES]
        self._seconds = registry.histogram(f"{at}job_seconds").observe
        self._memory = registry.histogram(f"{at}job_memory_peak_bytes").observe

    def ended(self, job_id: JobId | None, _client: str, job: JobSummary, _octets: bytes) -> None:
        """Count a job. A phase that it did not come to, or that took no time, is not observed.

        Of a request that ended no job, the reason alone is counted.
        """
        if job.reason is not None:
            self._reasons[job.reason.word] += 1
            if job.reason is SentLocal.SUSPICIOUS:
                self._suspicions[job.kind] += 1
        if job_id is None:
            return
        self._outcomes[job.outcome.word] += 1
        for observe, microseconds in zip(self._phases, job.phases_us, strict=True):
            if microseconds:
                observe(microseconds / 1e6)
        self._seconds(sum(job.phases_us) / 1e6)
        self._uploaded += job.uploaded_bytes
        self._received += job.input_bytes
        self._sent += job.output_bytes
        if job.peak_memory_bytes:  # it ran
            self._memory(job.peak_memory_bytes)
            self._user_us += job.cpu_user_us
            self._system_us += job.cpu_system_us
            self._sandboxes[job.prewarmed] += 1
