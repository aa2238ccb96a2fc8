"""Sums the farm up, for single questions and for viewers: in slices, however many records there are."""

from collections.abc import Callable
from functools import partial

from sccachedist.records.documents import Attention, Recent, SchedulerRow, StatusDocument
from sccachedist.records.ring import ENDED
from sccachedist.scheduler.attention import Lately, ServerFindings, attention
from sccachedist.scheduler.departures import Departures
from sccachedist.scheduler.farm_documents import status_document
from sccachedist.scheduler.farm_views import FarmViews
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.window import Window
from sccachedist.singleflight import SingleFlight

#: How many seconds one looks back as a rule. What became of requests in that time is counted once, for all who ask.
USUAL_SECS = 900.0


class FarmStatus:
    """The farm at a glance.

    :param views: what the scheduler knows.
    :param records: what it remembers.
    :param departures: the build servers that it misses.
    :param certificate_end: returns when the scheduler's own certificate ends, in seconds since 1970.
    :param schedulers: returns all of several schedulers.
    """

    def __init__(
        self,
        views: FarmViews,
        records: JobRecords,
        departures: Departures,
        certificate_end: Callable[[], float | None] = lambda: None,
        schedulers: Callable[[], list[SchedulerRow]] = list,
    ) -> None:
        self._views, self._records, self._departures = views, records, departures
        self._certificate_end, self._schedulers = certificate_end, schedulers
        self._began = records.now()
        self._window, self._usual = Window(USUAL_SECS), Lately()
        self._counting: SingleFlight[str] = SingleFlight()

    @property
    def up_secs(self) -> float:
        """For how long the scheduler has been running."""
        return self._records.now() - self._began

    async def lately(self, party: str, since: float) -> tuple[Recent, list[Attention]]:
        """What became of the requests of the last ``since`` seconds, and what an administrator should look at.

        :param party: the address for which this is wanted.
        """
        if since == USUAL_SECS:
            return await self.usual(party, (await self._views.look(party)).findings)
        now, found = self._records.now(), Lately()
        async for entry in self._views.slices.of(party, self._records.latest_first()):
            if entry[ENDED] < now - since:
                break
            found.add(entry)
        return self._summed(found, since, (await self._views.look(party)).findings)

    async def usual(self, party: str, findings: ServerFindings) -> tuple[Recent, list[Attention]]:
        """The same of the last :data:`USUAL_SECS`: only what has changed since somebody asked is read.

        :param findings: what is to be said of build servers.
        """
        await self._counting.do("", partial(self._count, party))
        return self._summed(self._usual, USUAL_SECS, findings)

    async def _count(self, party: str) -> None:
        async for entry, times in self._views.slices.of(party, self._window.changes(self._records)):
            self._usual.add(entry, times)

    def _summed(self, found: Lately, since: float, findings: ServerFindings) -> tuple[Recent, list[Attention]]:
        term = self._views.terms.current
        waiting, missed = term.totals().waiting, self._departures.missed()
        recent = found.all.recent(min(since, self._records.now() - self._records.since))
        wait, end, is_settling = term.oldest_wait_secs, self._certificate_end(), term.settling_secs > 0
        return recent, attention(
            findings,
            waiting,
            wait,
            found,
            missed,
            end,
            is_settling=is_settling,
            schedulers=self._schedulers(),
        )

    def document(self, recent: Recent, attention: list[Attention]) -> StatusDocument:
        """The farm at a glance; the rest is what it is now.

        :param recent: with ``attention``, what :meth:`lately` has found.
        """
        term = self._views.terms.current
        pause, wait = term.interventions.out_of_service.pause, term.oldest_wait_secs
        schedulers = self._schedulers()
        return status_document(term.totals(), self.up_secs, wait, recent, attention, pause, schedulers)
