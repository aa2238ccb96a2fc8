"""A farm, as its scheduler shows it to scripts and commands, and as administrators act on it.

It knows the routes of the API and the documents that they give; what those look like to a person is not known here.
"""

import os
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import attrs

from sccachedist.client import actions, asking
from sccachedist.client.scheduler_address import Given, SchedulerPlace, administrator_place, scheduler_place
from sccachedist.errors import PeerError
from sccachedist.records.client_documents import NamedClientsDocument
from sccachedist.records.documents import (
    ActionDocument,
    ClientsDocument,
    JobDocument,
    JobRow,
    JobsDocument,
    MeDocument,
    NoticesDocument,
    ServersDocument,
    ServerState,
    SettingsDocument,
    StatusDocument,
    TraceDocument,
    UsageDocument,
    WhyDocument,
)
from sccachedist.records.toolchain_documents import ToolchainsDocument
from sccachedist.records.usage import By

D = TypeVar("D")

#: Seconds from a drain to the first look at the jobs that are left, and from one look to the next: a scheduler shows
#: its build servers as they were a second ago.
FIRST_LOOK_SECS, LOOK_SECS = 1.5, 1.0
#: Seconds for which a scheduler may be away while its build servers are waited for.
AWAY_SECS = 60.0
#: How many records a page has at most.
_PAGE = 1000
#: The most bytes that records may have in JSON, on average, and how many more all of them together: one has some 800.
_RECORD_BYTES, _RECORDS_BYTES = 8 << 10, 32 << 20


@attrs.frozen
class Farm:
    """A farm, by its scheduler. It keeps no connection and no state: each method asks, waits, and returns.

    Every method raises a :class:`~sccachedist.errors.PeerError`, whose text is one line, if the scheduler does not
    answer, does not let the asker do that, or does not do it; ``status`` of it is that of HTTP, None without an answer.
    The documents are typed dictionaries with the keys that ``doc/api`` describes, and have been checked for them.

    :param place: the scheduler, the token to show, and what proves that it is the right one.
    """

    place: SchedulerPlace

    @classmethod
    def find(
        cls,
        scheduler: str | None = None,
        *,
        config: Path | None = None,
        token: str | None = None,
        token_file: Path | None = None,
        authorities: Path | None = None,
        administrator: bool = False,
        environment: Mapping[str, str] = os.environ,
    ) -> "Farm":
        """Find a scheduler as the commands do, see :mod:`~sccachedist.client.scheduler_address`; nothing is asked yet.

        :param scheduler: its URL.
        :param config: its configuration, if that is on this host.
        :param token: what to show; ``token_file`` has it in a file of its own.
        :param authorities: the PEM file of those that vouch for its certificate.
        :param administrator: whether it is an error if no token is found that could be an administrator's.
        :raises ConfigError: there is none, or a file is wrong.
        """
        find = administrator_place if administrator else scheduler_place
        return cls(find(Given(scheduler, config, token_file, authorities, token), environment))

    def ask(self, path: str, query: Mapping[str, str], shape: type[D], *, below: str = "farm") -> D:
        """A document of any route, for what no method is about.

        :param path: below ``/api/v1/farm/``, or what ``below`` says in the place of ``farm``.
        :param shape: a typed dictionary; the document may have more keys, and no fewer.
        """
        return asking.ask(self.place, path, query, shape, below=below)

    def me(self) -> MeDocument:
        """Who asks, as the scheduler sees it."""
        return self.ask("me", {}, MeDocument)

    def status(self, *, since: float | None = None) -> StatusDocument:
        """The farm at a glance, and what needs attention.

        :param since: seconds to look back, for what has ended lately.
        """
        return self.ask("status", _query(since), StatusDocument)

    def servers(self, states: Collection[ServerState] = ()) -> ServersDocument:
        """The build servers, or those in some states."""
        return self.ask("servers", _query(state=",".join(states) or None), ServersDocument)

    def jobs(
        self,
        *,
        since: float | None = None,
        client: str | None = None,
        server: str | None = None,
        outcome: str | None = None,
        reason: str | None = None,
        output: str | None = None,
        limit: int | None = None,
        before: str | None = None,
    ) -> JobsDocument:
        """Requests for a slot that are over, the latest first, and jobs that are not over: one page.

        :param since: those that ended in the last so many seconds.
        :param client: of this one; ``server``: at this one, by address or name of its host.
        :param outcome: that ended so; ``reason``: that were sent home or got no slot for this.
        :param output: whose output has a name that ends so.
        :param limit: how many records, from 1 to 1000; ``before``: what the page before gave as ``next``.
        """
        most = None if limit is None else str(limit)
        chosen = {"client": client, "server": server, "outcome": outcome, "reason": reason, "output": output}
        return self.ask("jobs", _query(since, **chosen, limit=most, before=before), JobsDocument)

    def records(
        self, *, since: float | None = None, client: str | None = None, server: str | None = None
    ) -> Iterator[JobRow]:
        """All requests that are over, the latest first, asked for page by page as they are used."""
        before: str | None = None
        room = _RECORDS_BYTES
        while True:
            query = _query(since, client=client, server=server, limit=str(_PAGE), before=before)
            page, size = asking.measured(self.place, "jobs", query, JobsDocument)
            room += _RECORD_BYTES * len(page["jobs"]) - size
            if room < 0:  # who keeps them would run out of memory
                raise PeerError(f"the scheduler at {self.place.url.rstrip('/')} has records that are far too long")
            yield from page["jobs"]
            before = page["next"]
            if before is None or not page["jobs"]:
                return

    def job(self, number: str) -> JobDocument:
        """One job, by its number or the last digits of it; if none or several have these, the error's status is 404."""
        return self.ask(f"jobs/{number}", {}, JobDocument)

    def why(self, name: str, *, since: float | None = None) -> WhyDocument:
        """What became of the compiles whose output has a name that ends so, and why the asker got no slots."""
        return self.ask("why", _query(since, name=name), WhyDocument)

    def clients(self, *, since: float | None = None) -> ClientsDocument:
        """Who compiles, who waits, and with which share of a full farm."""
        return self.ask("clients", _query(since), ClientsDocument)

    def toolchains(self) -> ToolchainsDocument:
        """Which compilers are on which build servers."""
        return self.ask("toolchains", {}, ToolchainsDocument)

    def usage(self, by: By = "client", *, since: float | None = None) -> UsageDocument:
        """Who used how much."""
        return self.ask("usage", _query(since, by=by), UsageDocument)

    def trace(
        self, *, since: float | None = None, client: str | None = None, server: str | None = None
    ) -> TraceDocument:
        """What ran when, as a Chrome trace."""
        return self.ask("trace", _query(since, client=client, server=server), TraceDocument)

    def notices(self) -> NoticesDocument:
        """What happened to the farm lately."""
        return self.ask("notices", {}, NoticesDocument)

    def named_clients(self) -> NamedClientsDocument:
        """The clients of :confval:`clients.file`, and when their tokens were used. For administrators."""
        return self.ask("clients", {}, NamedClientsDocument, below="admin")

    def settings(self) -> SettingsDocument:
        """A digest of each value of the configuration in force. For administrators."""
        return self.ask("settings", {}, SettingsDocument, below="admin")

    def act(self, body: Mapping[str, object]) -> ActionDocument:
        """Have something done, as an administrator; the methods below do so, too.

        With ``preview`` the answer says what would be done, and nothing is; ``reason`` is for the log and for those who
        look. A build server is named by its address, with or without the port, by the name of its host, or by a
        pattern.

        :param body: as ``doc/api`` has it.
        :raises OlderScheduler: the scheduler knows no actions.
        """
        return actions.act(self.place, body)

    def drain(
        self, *servers: str, reason: str = "", secs: float | None = None, preview: bool = False
    ) -> ActionDocument:
        """Give build servers no more jobs; those that they have go on, see :meth:`jobs_left`.

        :param secs: after how many this ends by itself; None: it does not.
        """
        return self.act(_body("drain", reason, preview, servers=servers, until=secs))

    def undrain(self, *servers: str, reason: str = "", preview: bool = False) -> ActionDocument:
        """Give build servers jobs again."""
        return self.act(_body("undrain", reason, preview, servers=servers))

    def forgive(self, *servers: str, reason: str = "", preview: bool = False) -> ActionDocument:
        """Use build servers again that are avoided because they failed."""
        return self.act(_body("forgive", reason, preview, servers=servers))

    def forget_server(self, *servers: str, reason: str = "", preview: bool = False) -> ActionDocument:
        """Drop silent build servers at once, and miss those no longer that fell silent."""
        return self.act(_body("forget_server", reason, preview, servers=servers))

    def forget_toolchain(
        self, toolchain: str, *servers: str, reason: str = "", preview: bool = False
    ) -> ActionDocument:
        """Have build servers, or all, remove a toolchain as soon as no job uses it.

        :param toolchain: its archive id, or six characters or more that it begins with.
        """
        return self.act(_body("forget_toolchain", reason, preview, toolchain=toolchain, servers=servers or None))

    def kill_job(self, number: str, *, reason: str = "", preview: bool = False) -> ActionDocument:
        """End a job, by the end of its number: its client compiles locally."""
        return self.act(_body("kill", reason, preview, job=number))

    def kill_jobs_of(self, client: str, *, reason: str = "", preview: bool = False) -> ActionDocument:
        """End all jobs of a client, which compiles them locally."""
        return self.act(_body("kill", reason, preview, client=client))

    def pause(self, reason: str, *, preview: bool = False) -> ActionDocument:
        """Give no client a slot: all clients compile locally, and are told the reason. What runs goes on."""
        return self.act(_body("pause", reason, preview))

    def resume(self, *, reason: str = "", preview: bool = False) -> ActionDocument:
        """End a pause."""
        return self.act(_body("resume", reason, preview))

    def reload(self, *, reason: str = "", preview: bool = False) -> ActionDocument:
        """Have the scheduler read its configuration again."""
        return self.act(_body("reload", reason, preview))

    def jobs_left(self, addresses: Collection[str]) -> Iterator[int]:
        """Wait for the last job of drained build servers: how many are left, whenever that has changed; 0 comes last.

        :param addresses: as an :class:`~sccachedist.records.documents.ActionDocument` has them in ``about``.
        :raises PeerError: the scheduler is away for a minute, or one of them is drained no longer.
        """
        heard, shown = time.monotonic(), None
        time.sleep(FIRST_LOOK_SECS)
        while shown != 0:
            try:
                rows = [row for row in self.servers()["servers"] if row["address"] in addresses]
            except PeerError as error:
                if error.status is not None or time.monotonic() - heard > AWAY_SECS:
                    raise
            else:
                heard = time.monotonic()
                for row in rows:
                    if row["drain"] is None:
                        raise PeerError(f"{row['address']} is drained no longer")
                left = sum(row["jobs"] for row in rows)
                if left != shown:
                    yield left
                shown = left
            if shown != 0:
                time.sleep(LOOK_SECS)


def _query(since: float | None = None, **given: str | None) -> dict[str, str]:
    """What a query says: nothing of what is not given."""
    chosen = {name: text for name, text in given.items() if text is not None}
    return chosen if since is None else chosen | {"since": f"{since:.0f}"}


def _body(action: str, reason: str, preview: bool, **given: object) -> dict[str, object]:
    """The body of a request."""
    chosen = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
    body = {key: value for key, value in (chosen | {"reason": reason}).items() if value not in (None, "")}
    return {"action": action, "preview": preview} | body
