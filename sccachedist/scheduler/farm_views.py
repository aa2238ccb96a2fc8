"""Looks at all build servers and jobs for those who watch: in slices, and not more often than once a second.

What is shown of them is not known here.
"""

from collections.abc import AsyncIterator

from sccachedist.scheduler.snapshot import JobView, ServerView
from sccachedist.scheduler.term import Terms
from sccachedist.web.slices import Slices

#: Build servers and jobs that are looked at in one step.
SOME = 16
#: Seconds for which the build servers are shown again as they were: those who watch cost no more if they are many.
SHOWN_SECS = 1.0


class FarmViews:
    """What the current term knows.

    :param slices: how long others wait meanwhile.
    """

    def __init__(self, terms: Terms, slices: Slices) -> None:
        self.terms, self.slices = terms, slices
        self._seen: tuple[float, list[ServerView]] | None = None

    async def servers(self, party: str) -> list[ServerView]:
        """The build servers.

        :param party: the address of the one that watches.
        """
        term = self.terms.current
        if self._seen is None or term.now() - self._seen[0] > SHOWN_SECS:
            found: list[ServerView] = []
            async for some in self.slices.of(party, term.servers(SOME)):
                found += some
            self._seen = term.now(), found
        return self._seen[1]

    async def jobs(self, party: str) -> AsyncIterator[JobView]:
        """The jobs that are not over."""
        async for some in self.slices.of(party, self.terms.current.jobs(SOME)):
            for job in some:
                yield job
