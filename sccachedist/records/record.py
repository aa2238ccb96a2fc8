"""The record of one request for a slot that is over, with its compile if there was one.

Pure. A scheduler makes it of what it saw itself and of the summary that the build server sent
(:mod:`sccachedist.wire.job_summary`). With a published build server there is no summary; with a published scheduler the
build server keeps the summaries alone.
"""

from typing import Any

import attrs

from sccachedist.outcomes import SERVER_PHASES, Outcome, Refusal, SentLocal, TimedPhase
from sccachedist.wire.job_summary import JobSummary
from sccachedist.wire.messages import JobId


@attrs.frozen
class JobRecord:
    """One request.

    :param job_id: None if it got no slot.
    :param asked: when the request came, and ``ended``: when the end was known, in seconds since 1970 by the
        scheduler's clock.
    :param client: whose it was, by address or name; None if the job is from before this scheduler's start.
    :param server: the build server's address; None if it got no slot.
    :param toolchain: its archive id; empty if it is not known.
    :param refusal: why it got no slot, if the outcome is ``REFUSED``.
    :param detail: what the client was told, if it got no slot.
    :param wait_secs: how long it waited for a slot; ``assign_secs``: how long the build server took to accept the job.
    :param summary: what the build server told; None if it did not.
    :param led_by: which of several schedulers led when it ended, by its URL and the number of its term.
    """

    job_id: JobId | None
    asked: float
    ended: float
    client: str | None
    server: str | None
    toolchain: str
    outcome: Outcome
    refusal: Refusal | None = None
    detail: str = ""
    wait_secs: float = 0.0
    assign_secs: float = 0.0
    summary: JobSummary | None = None
    led_by: tuple[str, int] | None = None

    @property
    def reason(self) -> Refusal | SentLocal | None:
        """Why there was no slot, or no result."""
        if self.outcome is Outcome.SENT_LOCAL and self.summary is not None:
            return self.summary.reason
        return self.refusal

    @property
    def phases(self) -> dict[TimedPhase, float]:
        """Seconds of each phase; together they are ``ended - asked``. Without a summary, most of it is the client's."""
        found = {TimedPhase.QUEUE_WAIT: self.wait_secs, TimedPhase.ASSIGN: self.assign_secs}
        parts = [] if self.summary is None else [part / 1e6 for part in self.summary.phases_us]
        rest = self.ended - self.asked - self.wait_secs - self.assign_secs - sum(parts)
        if rest > 0:  # else the clocks differ
            found[TimedPhase.CLIENT] = rest
        found.update(zip(SERVER_PHASES, parts, strict=False))
        return found

    def to_json(self) -> dict[str, Any]:
        """The record as the API and the file of records show it. What is not known is null, never 0.

        The keys: :class:`sccachedist.records.documents.JobRow`.
        """
        summary, reason = self.summary, self.reason
        scheduler, term = self.led_by or (None, None)
        return {
            "v": 1,
            "id": None if self.job_id is None else str(self.job_id),
            "asked": round(self.asked, 6),
            "ended": round(self.ended, 6),
            "client": self.client,
            "server": self.server,
            "toolchain": self.toolchain or None,
            "outcome": self.outcome.word,
            "reason": None if reason is None else reason.word,
            "kind": (summary.kind if summary else "") or None,
            "detail": (summary.detail if summary else self.detail) or None,
            "exit": summary.exit_code if summary else None,
            "output": (summary.output if summary else "") or None,
            "compiler": (summary.compiler if summary else "") or None,
            "phases": {phase.word: round(secs, 6) for phase, secs in self.phases.items()},
            "scheduler": scheduler,
            "term": term,
            **(_UNTOLD if summary is None else _of_server(summary)),
        }


def _of_server(summary: JobSummary) -> dict[str, Any]:
    return {
        "slot": summary.slot,
        "cpu_user": summary.cpu_user_us / 1e6,
        "cpu_system": summary.cpu_system_us / 1e6,
        "memory": summary.peak_memory_bytes,
        "in": summary.input_bytes,
        "out": summary.output_bytes,
        "uploaded": summary.uploaded_bytes,
        "prewarmed": summary.prewarmed,
    }


_UNTOLD = dict.fromkeys(("slot", "cpu_user", "cpu_system", "memory", "in", "out", "uploaded", "prewarmed"))
