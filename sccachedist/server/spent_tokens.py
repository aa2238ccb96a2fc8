"""The jobs that are over, so that no token opens one twice. Pure.

The ids are kept in two generations. When the newer one is an hour long or has many ids, it becomes the older one, and
what was that is forgotten. From then on every token is refused that is no newer than the newest of the forgotten: the
mark. Times are those of the tokens, by the clock of the scheduler that issued them.
"""

import attrs

from sccachedist.wire.messages import JobId

#: Seconds of a scheduler's clock that one generation lasts at most, and how many ids it has at most.
GENERATION_SECS, GENERATION_IDS = 3600, 1 << 17


@attrs.define
class Generation:
    """Ids, and when the tokens of the first and of the newest were issued."""

    ids: set[JobId] = attrs.field(factory=set)
    first: int = 0
    newest: int = 0

    def add(self, job_id: JobId, issued: int) -> None:
        """One more; 0 where nobody knows when its token was issued."""
        self.ids.add(job_id)
        self.first = self.first or issued
        self.newest = max(self.newest, issued)

    def is_full_at(self, issued: int) -> bool:
        """Whether one that was issued then belongs to the next."""
        return len(self.ids) >= GENERATION_IDS or issued >= (self.first or issued) + GENERATION_SECS


class SpentJobs:
    """The ids of jobs that are over, in memory."""

    def __init__(self) -> None:
        self._newer, self._older, self.mark = Generation(), Generation(), 0

    def refuses(self, job_id: JobId, issued: int | None, time: float | None = None) -> bool:
        """Whether a token opens nothing any more.

        :param issued: when it was issued; None for one that does not say so.
        :param time: what its scheduler's clock shows now, where that is known. A mark that lies in that clock's future
            is from before the clock was set back, and refuses nothing.
        """
        if job_id in self._newer.ids or job_id in self._older.ids:
            return True
        return issued is not None and issued <= self.mark and (time is None or self.mark <= time)

    def add(self, job_id: JobId, issued: int, *, keep: bool) -> None:
        """A job is claimed, or over.

        :param issued: when its token was issued; 0 where nobody knows.
        :param keep: whether a client could bring the token once more after a restart.
        """
        if self._newer.is_full_at(issued):
            self.mark = max(self.mark, self._older.newest)
            self._newer, self._older = Generation(), self._newer
            self._turn()
        self._newer.add(job_id, issued)
        if keep:
            self._keep(job_id, issued)

    def _turn(self) -> None:
        """A new generation begins."""

    def _keep(self, job_id: JobId, issued: int) -> None:
        """An id is to outlast a restart."""
