"""Whether the client of a job has to bring its toolchain, and who else in the farm could give it to the build server.

A toolchain is brought to the farm once: our build server that lacks it fetches it from one that has it, or waits for a
client that is bringing it. If no server has it, one with an object store is asked to look there. A published
build server gets it from clients alone, and says so itself. A job whose fetch fails goes home; then clients are asked
for a while.

Pure: the time is an argument. :mod:`sccachedist.scheduler.core` asks; how bytes get from one server to another is not
known here.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import attrs

from sccachedist.bounded import remember
from sccachedist.budgets import Party
from sccachedist.errors import DecodeError
from sccachedist.outcomes import Outcome, SentLocal
from sccachedist.scheduler.build_server import BuildServer, may_presume
from sccachedist.scheduler.fleet import Fleet
from sccachedist.scheduler.jobs import Job, Jobs
from sccachedist.scheduler.popularity import Popularity
from sccachedist.scheduler.stored import StoredToolchains
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.holders import MOST_HOLDERS, MOST_POPULAR, Popular
from sccachedist.wire.job_summary import ending
from sccachedist.wire.messages import AssignJobResult, JobId, JobState

#: For how many jobs of each toolchain it is remembered that their clients were asked for it; of how many toolchains.
MOST_BRINGERS, MOST_BROUGHT = 8, 1000


@attrs.frozen
class WhereToFetch:
    """Where a build server may get a toolchain.

    :param holders: servers that have it and give it to others, in the order in which to ask them.
    :param is_coming: whether a client is bringing it to one.
    """

    holders: tuple[BuildServer, ...]
    is_coming: bool


class Presumptions:
    """What is presumed of toolchains that a build server lacks."""

    def __init__(self, fleet: Fleet, jobs: Jobs) -> None:
        self._fleet, self._jobs, self._popularity, self._stored = fleet, jobs, Popularity(), StoredToolchains()
        self._presumed: dict[str, float] = {}
        self._bringers: dict[str, list[JobId]] = {}

    def presumed(self, server: BuildServer, toolchain: str, client: Party | None, now: float) -> AssignJobResult | None:
        """What a build server would answer to a new job, if it knew the farm; None if it has to be asked."""
        if not server.needs_no_question(toolchain, now):
            return None
        if toolchain in server.toolchains:
            return AssignJobResult(JobState.READY, need_toolchain=False)
        need = self._has_to_bring(server, toolchain, client, now)
        if need and self._is_to_look(server, toolchain, now):
            return None
        return AssignJobResult(JobState.PENDING, need_toolchain=need)

    def reconsidered(
        self, job_id: JobId, server_id: ServerId, answered: AssignJobResult, now: float
    ) -> AssignJobResult:
        """What a build server has answered to a job; one that fetches toolchains needs none that the farm has.

        If it lacks the toolchain and needs none from the client, it has found it in its object store.
        """
        job, server = self._jobs.get(job_id), self._fleet.get(server_id)
        if job is None or server is None or answered.state is not JobState.PENDING:
            return answered
        if not answered.need_toolchain:
            if server.store:
                self._stored.found(server.store, job.toolchain)
            return answered
        if self._is_to_look(server, job.toolchain, now):
            self._stored.lacks(server.store, job.toolchain, now)
        if not server.may_fetch(job.toolchain, now):
            return answered
        need = self._has_to_bring(server, job.toolchain, job.client, now)
        return AssignJobResult(answered.state, need_toolchain=need)

    def note(self, job_id: JobId, job: Job, assigned: AssignJobResult, now: float) -> None:
        """Note what becomes of a job's toolchain: its client is asked for it, or its build server fetches it."""
        self._popularity.used(job.toolchain, now)
        server = self._fleet[job.server_id]
        if server.store:
            self._stored.used(job.toolchain, self._fleet.size_of(job.toolchain))
        job.is_to_bring = assigned.need_toolchain
        if job.is_to_bring:
            bringers = self._bringers.get(job.toolchain, [])[-MOST_BRINGERS + 1 :]
            remember(self._bringers, job.toolchain, [*bringers, job_id], MOST_BROUGHT)
        elif assigned.state is JobState.PENDING:
            is_lent = self._fleet.has_lender(job.toolchain, job.server_id)
            job.is_to_fetch = is_lent or self._stored.has(server.store, job.toolchain)

    def ended(self, server: BuildServer, job: Job, summary: bytes, now: float) -> None:
        """Note whether the build server of a job that is over could fetch its toolchain."""
        if job.is_to_fetch:
            try:
                outcome, reason = ending(summary)
            except DecodeError:  # it does not tell
                return
            if reason is SentLocal.TOOLCHAIN:
                server.did_not_fetch(job.toolchain, now)
                self._stored.forget(server.store, job.toolchain)
            elif outcome is Outcome.COMPILED:
                server.did_fetch(job.toolchain)

    def popular(self, asks: ServerId, now: float) -> tuple[Popular, ...]:
        """The toolchains that were needed most in the last hour, of those that a build server could fetch.

        It is about to join, so whether it has an object store is not known: what one of them may have counts as well.
        """
        sizes = ((each, self._size_of_fetched(each, asks)) for each in self._popularity.most(now))
        return tuple(islice((Popular(each, size) for each, size in sizes if size is not None), MOST_POPULAR))

    def _size_of_fetched(self, toolchain: str, asks: ServerId) -> int | None:
        if self._fleet.has_lender(toolchain, asks):
            return self._fleet.size_of(toolchain) or 0
        return self._stored.likely_size(toolchain)

    def where(self, toolchain: str, asks: ServerId, now: float) -> WhereToFetch:
        """Where a build server may get a toolchain that it lacks."""
        is_coming = any(job.brings(toolchain, now, job.client) for job in self._bringing(toolchain))
        return WhereToFetch(tuple(self._fleet.lenders(toolchain, asks, MOST_HOLDERS)), is_coming)

    def _has_to_bring(self, server: BuildServer, toolchain: str, client: Party | None, now: float) -> bool:
        if self._is_brought((self._jobs[job_id] for job_id in server.jobs), server.presumed, toolchain, client, now):
            return False
        if not server.may_fetch(toolchain, now):
            return True
        if self._stored.has(server.store, toolchain):
            return False
        if not server.shares:
            return True
        if self._fleet.has_lender(toolchain, server.server_id):
            return False
        return not self._is_brought(self._bringing(toolchain), self._presumed, toolchain, client, now)

    def _is_to_look(self, server: BuildServer, toolchain: str, now: float) -> bool:
        """Whether a build server has to look into its object store for a toolchain, before a client is asked for it."""
        is_unknown = bool(server.store) and self._stored.is_unknown(server.store, toolchain, now)
        return is_unknown and server.may_fetch(toolchain, now)

    @staticmethod
    def _is_brought(
        jobs: Iterable[Job], presumed: dict[str, float], toolchain: str, client: Party | None, now: float
    ) -> bool:
        """Whether one of some jobs brings a toolchain, so that this client need not.

        A client's own upload counts as long as it goes on, another's not for long: it may be slow, or never end.
        """
        bringing = [job for job in jobs if job.brings(toolchain, now, client)]
        if any(job.is_of_same(client) for job in bringing):
            return True
        return bool(bringing) and may_presume(presumed, toolchain, now)

    def _bringing(self, toolchain: str) -> Iterator[Job]:
        """The jobs whose clients were asked for a toolchain, as far as they are not over, to servers that share."""
        for job_id in self._bringers.get(toolchain, ()):
            job = self._jobs.get(job_id)
            if job is not None and self._fleet[job.server_id].shares:
                yield job
