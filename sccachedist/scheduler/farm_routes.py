"""The scheduler's endpoints that show what the farm does, as JSON: ``doc/api`` describes them.

:mod:`sccachedist.scheduler.farm_documents` makes the documents, :mod:`sccachedist.scheduler.farm_queries` reads what is
asked for. However many records there are, the reactor does other things in between.
"""

import json
import math
from collections.abc import AsyncIterator, Callable, Mapping
from functools import wraps
from typing import Any, Protocol, cast, get_args

import attrs

from sccachedist.records.documents import RunningRow
from sccachedist.records.ring import CLIENT, ENDED, Entry
from sccachedist.records.selection import Selection
from sccachedist.records.trace import TIME_UNIT, TraceEvents
from sccachedist.records.usage import By, UsageSums
from sccachedist.scheduler import farm_queries as queries
from sccachedist.scheduler.farm_documents import (
    MOST_NAMES,
    ClientSums,
    RefusalSums,
    ToolchainSums,
    job_row,
    running_row,
    server_row,
)
from sccachedist.scheduler.farm_readers import FarmReader, FarmReaders
from sccachedist.scheduler.farm_status import USUAL_SECS, FarmStatus
from sccachedist.scheduler.farm_views import FarmViews
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.notices import Notices
from sccachedist.scheduler.roles import Role
from sccachedist.scheduler.standings import Standings
from sccachedist.web.queries import Query
from sccachedist.web.request_head import Head
from sccachedist.web.responses import Response, json_response
from sccachedist.web.router import Api, Route
from sccachedist.web.seats import Seats

_ROOT = "/api/v1/farm"
#: How many seconds each route looks back, if the query does not say. Others look at all that is remembered.
STATUS_SECS, CLIENTS_SECS, WHY_SECS, TRACE_SECS = USUAL_SECS, 86_400.0, 3600.0, 600.0
#: The records that ``why`` gives, the running jobs of a page, and the jobs of a trace, each at most.
MOST_WHY, MOST_RUNNING, MOST_TRACED = 20, 1000, 5000
#: Answers that are made and sent at a time, each of up to some 30 MB, and those of one address. Viewers and
#: administrators have others than clients do: who reads slowly from many addresses keeps none from them.
SEATS, SEATS_OF_PARTY, SEATS_OF_VIEWERS = 8, 2, 4
_CHOICE = ("client", "server", "outcome", "reason", "output")

Asked = Mapping[str, str]
#: The keys of each route's query.
QUERIES: dict[str, tuple[str, ...]] = {}


class _Sum(Protocol):
    """A sum that grows by one record at a time."""

    def add(self, entry: Entry, /) -> None: ...


_api = Api()


def _document(path: str, *keys: str) -> Callable[[Route], Route]:
    """Declare a route for readers that gives a document, and takes a query of these keys."""
    QUERIES[path] = keys

    async def allow(routes: "FarmRoutes", head: Head, **_: object) -> FarmReader:
        return await routes.allow_reader(head)

    def query(_routes: object, head: Head, **_: object) -> Query:
        return Query(head, keys)

    def declare(function: Route) -> Route:
        @wraps(function)
        async def seated(routes: "FarmRoutes", reader: FarmReader, query: Asked, **ids: Any) -> Response:
            seats = routes.seats if reader.role < Role.VIEWER else routes.viewers_seats
            leave = await seats.take(reader.party)
            try:
                response: Response = await function(routes, reader, query, **ids)
                return attrs.evolve(response, taken=leave)
            except BaseException:
                leave()
                raise

        return _api.route("GET", f"{_ROOT}/{path}", allow=allow, body=query, answer=None)(seated)

    return declare


class FarmRoutes:
    """What administrators and clients ask about the farm.

    :param views: what the scheduler knows.
    :param records: what it remembers.
    :param status: sums that up, and ``notices`` has what happened; ``standings`` has the shares of clients.
    """

    api = _api
    app = api.app

    def __init__(
        self,
        views: FarmViews,
        records: JobRecords,
        status: FarmStatus,
        notices: Notices,
        readers: FarmReaders,
        standings: Standings,
    ) -> None:
        self._views, self._records, self._status, self._notices = views, records, status, notices
        self._standings = standings
        self._terms, self._slices, self._readers = views.terms, views.slices, readers
        self.seats, self.viewers_seats = Seats(SEATS, SEATS_OF_PARTY), Seats(SEATS_OF_VIEWERS, SEATS_OF_PARTY)

    async def allow_reader(self, head: Head) -> FarmReader:
        """Who may read, and under which name its own requests are in the records."""
        return await self._readers.check(head)

    @_document("status", "since")
    async def farm_status(self, reader: FarmReader, query: Asked) -> Response:
        """The farm at a glance."""
        since = queries.seconds(query, "since", STATUS_SECS)
        lately = await self._status.lately(reader.party, since)
        return await self._answer(reader, self._status.document(*lately))

    @_document("servers", "state")
    async def farm_servers(self, reader: FarmReader, query: Asked) -> Response:
        """The build servers."""
        wanted = queries.states(query)
        servers, speeds = await self._views.servers(reader.party), await self._views.speeds(reader.party)
        rows = (server_row(server, speeds.get(str(server.server_id))) for server in servers if server.state in wanted)
        return await self._answer(reader, {"v": 1, "servers": rows})

    @_document("jobs", "since", "limit", "before", *_CHOICE)
    async def farm_jobs(self, reader: FarmReader, query: Asked) -> Response:
        """Records, the latest first, and on the first page the jobs that are not over."""
        wanted, mark = await self._selection(reader, query), queries.Mark.of(query)
        limit = queries.count(query, "limit", queries.PAGE, queries.MOST_ROWS)
        page: list[Entry] = []
        following: str | None = None
        async for entry in self._wanted(reader, wanted):
            if not mark.is_behind(entry):
                continue
            if len(page) == limit:
                following = str(mark.after(page))
                break
            page.append(entry)
        is_first = not query.keys() & {"before", "outcome", "reason", "output"}
        running = await self._running(reader, wanted) if is_first else []
        document = {"v": 1, "since": self._records.since, "jobs": map(reader.sight.row, page)}
        return await self._answer(reader, document | {"running": running, "next": following})

    @_document("jobs/<digits:digits>")
    async def farm_job(self, reader: FarmReader, _query: Asked, digits: str) -> Response:
        """One job, by its number or the end of it."""
        over = self._records.ending_with(digits)
        jobs = [job async for job in self._views.jobs(reader.party) if str(job.job_id).endswith(digits)]
        if len(over) + len(jobs) != 1:
            said = "several jobs have numbers that end" if over or jobs else "no job is remembered whose number ends"
            return json_response(json.dumps({"description": f"{said} with {digits}"}).encode(), 404)
        row = reader.sight.row(over[0]) if over else None
        running = running_row(jobs[0], self._records.name_of(jobs[0].client)) if jobs else None
        return await self._answer(reader, {"v": 1, "job": row, "running": running})

    @_document("why", "name", "since")
    async def farm_why(self, reader: FarmReader, query: Asked) -> Response:
        """The latest records of an output, those of the asker's host first; and what that was refused."""
        name, asker = query.get("name", ""), reader.sight.own or self._records.name_of(reader.party)
        since = self._records.now() - queries.seconds(query, "since", WHY_SECS)
        own: list[Entry] = []
        others: list[Entry] = []
        refusals = RefusalSums(asker)
        async for entry in self._slices.of(reader.party, self._records.latest_first()):
            if entry[ENDED] < since:
                break
            refusals.add(entry)
            mine = own if entry[CLIENT] == asker else others
            if len(mine) < MOST_WHY and name and reader.sight.output(entry).endswith(name):
                mine.append(entry)
        jobs = map(reader.sight.row, (own + others)[:MOST_WHY])
        document = {"v": 1, "since": max(since, self._records.since), "jobs": jobs, "refusals": refusals.rows()}
        return await self._answer(reader, document)

    @_document("clients", "since")
    async def farm_clients(self, reader: FarmReader, query: Asked) -> Response:
        """The clients."""
        name_of = self._records.name_of
        clients = ClientSums()
        async for client, waits in self._slices.of(reader.party, self._terms.current.waiting.items()):
            clients.wait(name_of(client), waits)
        async for job in self._views.jobs(reader.party):
            clients.hold(name_of(job.client))
        secs = await self._sum(reader, queries.seconds(query, "since", CLIENTS_SECS), clients)
        places = [place async for place in self._slices.of(reader.party, clients.places())]
        rows = clients.rows(secs, self._standings.named, places)
        return await self._answer(reader, {"v": 1, "since": self._records.now() - secs, "clients": rows})

    @_document("toolchains")
    async def farm_toolchains(self, reader: FarmReader, _query: Asked) -> Response:
        """The toolchains."""
        toolchains = ToolchainSums()
        async for view in self._slices.of(reader.party, self._terms.current.toolchains()):
            toolchains.hold(view)
        async for server in self._slices.of(reader.party, await self._views.servers(reader.party)):
            toolchains.add_server(server)
        secs = await self._sum(reader, math.inf, toolchains)
        places = [place async for place in self._slices.of(reader.party, toolchains.places())]
        document = {"v": 1, "since": self._records.now() - secs, "toolchains": toolchains.rows(places)}
        return await self._answer(reader, document)

    @_document("usage", "by", "since", "server")
    async def farm_usage(self, reader: FarmReader, query: Asked) -> Response:
        """Who used how much."""
        by = cast(By, queries.one_of(query, "by", get_args(By), "client"))
        wanted, usage = await self._selection(reader, query), UsageSums(by)
        async for entry in self._wanted(reader, wanted):
            usage.add(job_row(entry))
        since = max(wanted.since, self._records.since)
        return await self._answer(reader, {"v": 1, "since": since, "by": by, "usage": usage.rows(MOST_NAMES)})

    @_document("trace", "since", "client", "server")
    async def farm_trace(self, reader: FarmReader, query: Asked) -> Response:
        """A Chrome trace of the latest jobs."""
        trace, count = TraceEvents(), 0
        wanted = await self._selection(reader, {"since": str(TRACE_SECS), **query})
        async for entry in self._wanted(reader, wanted):
            trace.add(reader.sight.row(entry))
            count += 1
            if count == MOST_TRACED:
                break
        return await self._answer(reader, {"traceEvents": trace.events(), "displayTimeUnit": TIME_UNIT})

    @_document("notices")
    async def farm_notices(self, reader: FarmReader, _query: Asked) -> Response:
        """What happened to the farm lately."""
        return await self._answer(reader, {"v": 1, "notices": self._notices.latest()})

    async def _answer(self, reader: FarmReader, document: Mapping[str, object]) -> Response:
        return json_response(await self._slices.json(reader.party, document))

    async def _sum(self, reader: FarmReader, since: float, into: _Sum) -> float:
        """Add the records of the last ``since`` seconds; returns how far back they go."""
        now = self._records.now()
        async for entry in self._slices.of(reader.party, self._records.latest_first()):
            if entry[ENDED] < now - since:
                break
            into.add(entry)
        return min(since, now - self._records.since)

    async def _selection(self, reader: FarmReader, query: Asked) -> Selection:
        """Which records are wanted. A build server may be called by the name of its host."""
        wanted = queries.selection(query, self._records.now())
        if wanted.server is None or queries.is_address(wanted.server):
            return wanted  # else a host might be named as another's address
        named = (await self._views.look(reader.party)).named
        return attrs.evolve(wanted, also=frozenset(named.get(wanted.server, ())))

    async def _wanted(self, reader: FarmReader, wanted: Selection) -> AsyncIterator[Entry]:
        """The records that are wanted, the latest first."""
        async for entry in self._slices.of(reader.party, self._records.latest_first()):
            if entry[ENDED] < wanted.since:
                break
            if wanted.wants(reader.sight.outline(entry, named=wanted.output is not None)):
                yield entry

    async def _running(self, reader: FarmReader, wanted: Selection) -> list[RunningRow]:
        """The jobs of a client or a build server that are not over."""
        found: list[RunningRow] = []
        async for job in self._views.jobs(reader.party):
            client, server = self._records.name_of(job.client), job.server_id
            if wanted.client in (None, client) and wanted.is_at(str(server)):
                found.append(running_row(job, client))
            if len(found) == MOST_RUNNING:
                break
        return found
