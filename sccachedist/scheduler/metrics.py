"""Where the values of a scheduler's series come from, and what it shows of each build server.

The series of the scheduler are counts that it has anyway. What takes a look at each build server is done in slices with
pauses between them: no scrape is in a hurry, and a request meets one slice of it at most.
"""

import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from sccachedist.metrics.registry import Registry
from sccachedist.metrics.series import SERVERS, Series
from sccachedist.outcomes import Outcome, Refusal, SentLocal
from sccachedist.scheduler.event_counts import EventCounts
from sccachedist.scheduler.snapshot import ServerView
from sccachedist.scheduler.term import Terms
from sccachedist.web.responses import JSON, Response
from sccachedist.web.slices import Slices
from sccachedist.wire.host_facts import HostFacts

#: How many requests ended in each way.
Ends: TypeAlias = Mapping[tuple[Outcome, Refusal | SentLocal | None], int]

#: Build servers that are looked at in one step of a slice, and bytes that are compressed in one.
SOME, PIECE = 4, 1 << 13
#: In whose turn that is done.
_PARTY = "scrapes"
#: The form of Prometheus' text that every release reads.
TEXT = "text/plain; version=0.0.4; charset=utf-8"
#: What makes gzip of zlib's windows, and the level that takes the least time.
_GZIP, _FASTEST = 31, 1


class SchedulerMetrics:
    """The metrics of a scheduler.

    :param registry: of all its series; those of both roles get their values elsewhere.
    :param terms: what the scheduler knows.
    :param ends: how many requests ended in each way, by outcome and reason.
    :param slices: of the reactor's time, with pauses.
    :param now: returns the seconds since 1970.
    """

    def __init__(
        self,
        registry: Registry,
        terms: Terms,
        counts: EventCounts,
        ends: Ends,
        slices: Slices,
        now: Callable[[], float],
    ) -> None:
        self._registry, self._terms, self._slices, self._now = registry, terms, slices, now
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
        read(f"{at}build_servers", lambda: self._terms.current.totals().states)
        read(f"{at}build_servers_published", lambda: self._terms.current.totals().published)
        read(f"{at}cpus", lambda: self._terms.current.totals().cpus)
        read(f"{at}slots", lambda: self._terms.current.totals().open_slots)
        read(f"{at}build_servers_joined_total", lambda: counts.joined)
        read(f"{at}build_servers_lost_total", lambda: _worded(counts.left))
        read(f"{at}build_servers_avoided_total", lambda: _worded(counts.avoided))
        read(f"{at}toolchains", lambda: self._terms.current.totals().toolchains)

    async def expose(self, accept: str) -> Response:
        """The series of the scheduler.

        :param accept: what the reader accepts.
        """
        media_type, text = self._registry.exposition(accept)
        return Response(200, (("Content-Type", media_type),), text)

    async def servers(self, *, gzip: bool) -> Response:
        """The series of each build server.

        :param gzip: whether the reader takes them compressed.
        """
        columns = [bytearray(_heading(row)) for row in SERVERS]
        async for server in self._servers():
            label = f'{{server="{server.server_id}"}}'
            for row, column, value in zip(SERVERS, columns, _row(server, self._now()), strict=True):
                column += f"{row.name}{label} {value}\n".encode()
        if not gzip:
            return Response(200, (("Content-Type", TEXT),), b"".join(columns))
        packer = zlib.compressobj(_FASTEST, wbits=_GZIP)
        packed = [packer.compress(piece) async for piece in self._slices.of(_PARTY, _pieces(columns))]
        packed.append(packer.flush())
        return Response(200, (("Content-Type", TEXT), ("Content-Encoding", "gzip")), b"".join(packed))

    async def targets(self) -> Response:
        """The build servers that have told where their metrics are, for Prometheus to find."""
        found: list[str] = []
        async for server in self._servers():
            if server.metrics_port:
                target = str(attrs.evolve(server.server_id, port=server.metrics_port))
                found.append(json.dumps({"targets": [target], "labels": _labels(server)}))
        return Response(200, (("Content-Type", JSON),), f"[{','.join(found)}]".encode())

    async def _servers(self) -> AsyncIterator[ServerView]:
        async for some in self._slices.of(_PARTY, self._terms.current.servers(SOME)):
            for server in some:
                yield server


def _row(server: ServerView, now: float) -> tuple[float, ...]:
    """The values of :data:`~sccachedist.metrics.series.SERVERS`, in their order.

    :param now: in seconds since 1970.
    """
    return (
        server.slots,
        server.taken,
        server.jobs,
        int(server.drain is not None),
        int(server.is_open),
        int(server.state == "busy"),
        int(bool(server.unfit)),
        round(server.avoided_secs, 3),
        round(server.sent_home, 6),
        server.toolchains,
        round(now - server.seen_secs, 3),
    )


def _pieces(columns: list[bytearray]) -> Iterator[memoryview]:
    for column in columns:
        whole = memoryview(column)
        for at in range(0, len(whole), PIECE):
            yield whole[at : at + PIECE]


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
