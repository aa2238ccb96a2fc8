"""Looks at all build servers and jobs for viewers: in slices, and not more often than once a second.

What takes a look at each build server is added up in the same go; what a document makes of it is not known here.
"""

from collections import defaultdict
from collections.abc import AsyncIterator

import attrs

from sccachedist.records.speed import SpeedSums
from sccachedist.scheduler.attention import ServerFindings
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.snapshot import JobView, ServerView
from sccachedist.scheduler.term import Terms
from sccachedist.web.slices import Slices

#: Build servers and jobs that are looked at in one step.
SOME = 4
#: Seconds for which the build servers are shown again as they were: many viewers cost no more than one.
SHOWN_SECS = 1.0
#: The same for how fast they compile, for which the records are read.
SPEED_SECS = 60.0


@attrs.define
class ServersLook:
    """The build servers at one time, with what takes a look at each.

    :param named: the addresses of those whose host has a name.
    """

    findings: ServerFindings
    servers: list[ServerView] = attrs.field(factory=list)
    named: defaultdict[str, list[str]] = attrs.field(factory=lambda: defaultdict(list))

    def add(self, server: ServerView) -> None:
        """Look at one more."""
        self.servers.append(server)
        self.findings.add(server)
        if server.host is not None and server.host.name:
            self.named[server.host.name].append(str(server.server_id))


class FarmViews:
    """What the current term knows.

    :param slices: how long others wait meanwhile.
    :param records: what became of requests.
    """

    def __init__(self, terms: Terms, slices: Slices, records: JobRecords) -> None:
        self.terms, self.slices, self.records = terms, slices, records
        self._seen: tuple[float, ServersLook] | None = None
        self._orders = 0
        self._speeds: tuple[float, dict[str, float]] | None = None

    def ordered(self) -> None:
        """An administrator has changed something: who looks from now on sees that."""
        self._seen = None
        self._orders += 1

    async def look(self, party: str) -> ServersLook:
        """The build servers.

        :param party: the address of the one that watches.
        """
        term = self.terms.current
        if self._seen is not None and term.now() - self._seen[0] <= SHOWN_SECS:
            return self._seen[1]
        orders, found = self._orders, ServersLook(ServerFindings(self.records.now()))
        async for some in self.slices.of(party, term.servers(SOME)):
            for server in some:
                found.add(server)
        if orders == self._orders:
            self._seen = term.now(), found
        return found

    async def servers(self, party: str) -> list[ServerView]:
        """The build servers alone."""
        return (await self.look(party)).servers

    async def speeds(self, party: str) -> dict[str, float]:
        """How fast build servers compile, by their addresses, see :mod:`sccachedist.records.speed`."""
        now = self.records.now()
        if self._speeds is None or not 0 <= now - self._speeds[0] <= SPEED_SECS:
            sums = SpeedSums()
            async for entry in self.slices.of(party, self.records.latest_first()):
                sums.add(entry)
            self._speeds = now, {server: speed async for server, speed in self.slices.of(party, sums.speeds())}
        return self._speeds[1]

    async def jobs(self, party: str) -> AsyncIterator[JobView]:
        """The jobs that are not over."""
        async for some in self.slices.of(party, self.terms.current.jobs(SOME)):
            for job in some:
                yield job
