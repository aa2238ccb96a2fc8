"""Remembers which jobs are over, so that no token opens a job twice. Pure.

The ids are kept in two generations. When the newer one spans :data:`GENERATION_SECS` or has :data:`GENERATION_IDS` ids,
it becomes the older one, and the former older one is forgotten. Its newest issue time is the mark: from then on every
token up to the mark is refused. Times are those in the tokens, by the clock of the scheduler that issued them. Where
ids are stored is not known here: :mod:`sccachedist.server.spent_token_file` writes them to files.
"""

import attrs

from sccachedist.wire.messages import JobId

#: The most seconds, of a scheduler's clock, and the most ids of one generation.
GENERATION_SECS, GENERATION_IDS = 3600, 1 << 17


@attrs.define
class Generation:
    """Ids, and when the tokens of the first and of the newest one were issued."""

    ids: set[JobId] = attrs.field(factory=set)
    first: int = 0
    newest: int = 0

    def add(self, job_id: JobId, issued: int) -> None:
        """Add an id; ``issued`` is 0 if it is not known."""
        self.ids.add(job_id)
        self.first = self.first or issued
        self.newest = max(self.newest, issued)

    def is_full_at(self, issued: int) -> bool:
        """Whether an id with this issue time belongs to the next generation."""
        return len(self.ids) >= GENERATION_IDS or issued >= (self.first or issued) + GENERATION_SECS


class SpentJobs:
    """The ids of jobs that are over, in memory."""

    def __init__(self) -> None:
        self._newer, self._older, self.mark = Generation(), Generation(), 0

    def refuses(self, job_id: JobId, issued: int | None, time: float | None = None) -> bool:
        """Whether a token is refused.

        :param issued: when it was issued; None if the token does not say so.
        :param time: the time now by its scheduler's clock, if known. A mark in the future is from before that clock was
            set back, and refuses nothing.
        """
        if job_id in self._newer.ids or job_id in self._older.ids:
            return True
        return issued is not None and issued <= self.mark and (time is None or self.mark <= time)

    def add(self, job_id: JobId, issued: int, *, keep: bool) -> None:
        """Spend the id of a job that is claimed or over.

        :param issued: when its token was issued; 0 if it is not known.
        :param keep: whether the id has to outlast a restart: a client could show its token again then.
        """
        if self._newer.is_full_at(issued):
            self.mark = max(self.mark, self._older.newest)
            self._newer, self._older = Generation(), self._newer
            self._turn()
        self._newer.add(job_id, issued)
        if keep:
            self._keep(job_id, issued)

    def _turn(self) -> None:
        """Begin a new generation where ids are stored."""

    def _keep(self, job_id: JobId, issued: int) -> None:
        """Store an id so that it outlasts a restart."""
