"""Where the values of a scheduler's series come from, and what it shows of each build server.

All that takes a look at each build server looks at :data:`SOME` of them in one turn of the reactor, so no request waits
long for a scrape of thousands.
"""

import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeAlias

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from sccachedist.metrics.registry import Registry
from sccachedist.metrics.series import SERVERS, Series
from sccachedist.outcomes import Outcome, Refusal, SentLocal
from sccachedist.scheduler.event_counts import EventCounts
from sccachedist.scheduler.snapshot import ServerView
from sccachedist.scheduler.term import Terms
from sccachedist.web.responses import JSON, Response
from sccachedist.wire.host_facts import HostFacts

#: How many requests ended in each way.
Ends: TypeAlias = Mapping[tuple[Outcome, Refusal | SentLocal | None], int]

#: Build servers that are looked at in one turn of the reactor.
SOME = 125
#: The form of Prometheus' text that every release reads.
TEXT = "text/plain; version=0.0.4; charset=utf-8"
#: What makes gzip of zlib's windows, and the level that takes the least time.
_GZIP, _FASTEST = 31, 1


@attrs.define
class _Fleet:
    """Counts of build servers."""

    states: Counter[str] = attrs.field(factory=Counter)
    slots: int = 0
    published: int = 0

    def add(self, server: ServerView) -> None:
        """Count one."""
        self.states[server.state] += 1
        self.slots += server.slots if server.is_open else 0
        self.published += not server.ours


class SchedulerMetrics:
    """The metrics of a scheduler.

    :param registry: of all its series; those of both roles get their values elsewhere.
    :param terms: what the scheduler knows.
    :param ends: how many requests ended in each way, by outcome and reason.
    :param began: the time in seconds since 1970 when ``clock`` was 0.
    """

    def __init__(
        self, registry: Registry, terms: Terms, counts: EventCounts, ends: Ends, clock: IReactorTime, began: float
    ) -> None:
        self._registry, self._terms, self._clock, self._began = registry, terms, clock, began
        self._fleet = _Fleet()
        self._bind(counts, ends)

    def _bind(self, counts: EventCounts, ends: Ends) -> None:
        read = self._registry.read
        at = "sccachedist_scheduler_"
        read(f"{at}allocations_total", lambda: {"allocated": counts.allocated} | _by_reason(ends, Outcome.REFUSED))
        read(f"{at}jobs_outcome_total", lambda: _by_outcome(ends))
        read(f"{at}sent_local_total", lambda: _by_reason(ends, Outcome.SENT_LOCAL))
        counts.waited = self._registry.histogram(f"{at}queue_wait_seconds").observe
        read(f"{at}assignments_total", lambda: counts.assignments)
        counts.answered = self._registry.histogram(f"{at}assign_seconds").observe
        read(f"{at}waiting_clients", lambda: self._terms.current.totals().waiting)
        read(f"{at}oldest_wait_seconds", lambda: self._terms.current.oldest_wait_secs)
        read(f"{at}jobs", lambda: _worded(self._terms.current.totals().phases))
        read(f"{at}jobs_ended_total", lambda: _worded(counts.ended))
        read(f"{at}jobs_adopted_total", lambda: counts.adopted)
        read(f"{at}slots_lent_total", lambda: counts.lent)
        read(f"{at}build_servers", lambda: self._fleet.states)
        read(f"{at}build_servers_published", lambda: self._fleet.published)
        read(f"{at}cpus", lambda: self._terms.current.totals().cpus)
        read(f"{at}slots", lambda: self._fleet.slots)
        read(f"{at}build_servers_joined_total", lambda: counts.joined)
        read(f"{at}build_servers_lost_total", lambda: _worded(counts.left))
        read(f"{at}build_servers_avoided_total", lambda: _worded(counts.avoided))
        read(f"{at}toolchains", lambda: self._terms.current.totals().toolchains)

    async def expose(self, accept: str) -> Response:
        """The series of the scheduler.

        :param accept: what the reader accepts.
        """
        fleet = _Fleet()
        async for some in self._servers():
            for server in some:
                fleet.add(server)
        self._fleet = fleet
        media_type, text = self._registry.exposition(accept)
        return Response(200, (("Content-Type", media_type),), text)

    async def servers(self, *, gzip: bool) -> Response:
        """The series of each build server.

        :param gzip: whether the reader takes them compressed.
        """
        lines = [[_heading(row)] for row in SERVERS]
        async for some in self._servers():
            labels = [f'{{server="{server.server_id}"}}' for server in some]
            columns = zip(*(self._row(server) for server in some), strict=True)
            for row, collected, column in zip(SERVERS, lines, columns, strict=True):
                values = zip(labels, column, strict=True)
                collected.append("".join([f"{row.name}{label} {value}\n" for label, value in values]).encode())
        if not gzip:
            return Response(200, (("Content-Type", TEXT),), b"".join(piece for each in lines for piece in each))
        packed, packer = [], zlib.compressobj(_FASTEST, wbits=_GZIP)
        for collected in lines:
            packed += [packer.compress(piece) for piece in collected]
            await self._turn()
        packed.append(packer.flush())
        return Response(200, (("Content-Type", TEXT), ("Content-Encoding", "gzip")), b"".join(packed))

    async def targets(self) -> Response:
        """The build servers that have told where their metrics are, for Prometheus to find."""
        found: list[str] = []
        async for some in self._servers():
            found += [
                json.dumps(
                    {
                        "targets": [str(attrs.evolve(server.server_id, port=server.metrics_port))],
                        "labels": _labels(server),
                    }
                )
                for server in some
                if server.metrics_port
            ]
        return Response(200, (("Content-Type", JSON),), f"[{','.join(found)}]".encode())

    def _row(self, server: ServerView) -> tuple[float, ...]:
        """The values of :data:`~sccachedist.metrics.series.SERVERS`, in their order."""
        return (
            server.slots,
            server.taken,
            server.jobs,
            int(server.drain is not None),
            int(server.is_open),
            int(bool(server.unfit)),
            round(server.avoided_secs, 3),
            round(server.sent_home, 6),
            server.toolchains,
            round(self._began + self._clock.seconds() - server.seen_secs, 3),
        )

    async def _servers(self) -> AsyncIterator[tuple[ServerView, ...]]:
        for some in self._terms.current.servers(SOME):
            if some:
                yield some
            await self._turn()

    async def _turn(self) -> None:
        """Let the reactor do other things."""
        await deferLater(self._clock, 0.0)


def _labels(server: ServerView) -> dict[str, str]:
    """What a configuration of Prometheus may choose build servers by; what is not known is empty."""
    host = server.host or HostFacts()
    return {
        "__meta_sccachedist_server": str(server.server_id),
        "__meta_sccachedist_name": host.name,
        "__meta_sccachedist_arch": host.machine_name or "",
        "__meta_sccachedist_version": server.version,
    }


def _heading(row: Series) -> bytes:
    return f"# HELP {row.name} {row.about}\n# TYPE {row.name} {row.kind.value}\n".encode()


def _by_reason(ends: Ends, outcome: Outcome) -> dict[str, int]:
    return {reason.word: count for (ended, reason), count in ends.items() if ended is outcome and reason is not None}


def _by_outcome(ends: Ends) -> Counter[str]:
    found: Counter[str] = Counter()
    for (outcome, _), count in ends.items():
        if outcome is not Outcome.REFUSED:
            found[outcome.word] += count
    return found


def _worded(counts: Any) -> dict[str, float]:
    """Counts by the members of an enumeration, by their names in small letters."""
    return {member.name.lower(): count for member, count in counts.items()}
