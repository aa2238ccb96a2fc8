"""The documents of the farm's API, of a snapshot and of records: rows, and sums that grow by one record at a time.

Pure. Which records are wanted is decided in :mod:`sccachedist.scheduler.farm_queries`, what an administrator should
look at in :mod:`sccachedist.scheduler.attention`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import nsmallest
from typing import cast

from sccachedist import __version__
from sccachedist.errors import DecodeError
from sccachedist.outcomes import Lack, Outcome, Refusal
from sccachedist.records.documents import (
    Attention,
    ClientRow,
    DiskFree,
    JobRow,
    Recent,
    RefusalCount,
    RunningRow,
    SchedulerRow,
    ServerRow,
    ServerUpload,
    StatusDocument,
    WorkersRow,
)
from sccachedist.records.ring import (
    CLIENT,
    DETAIL,
    ENDED,
    OUTCOME,
    OUTCOMES,
    SERVER,
    SUMMARY,
    TOOLCHAIN,
    Entry,
    reason_of,
    record_of,
)
from sccachedist.records.tally import RequestTally
from sccachedist.records.toolchain_documents import ToolchainRow, ToolchainUpload
from sccachedist.scheduler.out_of_service import Drain, Pause
from sccachedist.scheduler.ranking import SLOW_TIMES
from sccachedist.scheduler.snapshot import JobView, ServerView, ToolchainView, Totals
from sccachedist.scheduler.standings import Standing
from sccachedist.wire.abilities import Abilities
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.job_summary import names_of
from sccachedist.wire.machines import name_of

#: The most clients or toolchains of a document: their order is found in one go.
MOST_NAMES = 1000
#: The most uploads of one toolchain that are told.
MOST_UPLOADS = 100
#: To how many bytes memory and disks are rounded.
_ROUND = 1 << 26
#: Why a build server takes fewer jobs than it has CPUs for, by the words.
_LACKS = {lack.word: lack.clause for lack in Lack}
#: Jobs of a toolchain whose compilers are looked at.
_MOST_LOOKED_AT = 20


def job_row(entry: Entry) -> JobRow:
    """A record."""
    return cast(JobRow, record_of(entry).to_json())


def outline(entry: Entry, *, named: bool) -> JobRow:
    """As much of a record as :class:`~sccachedist.records.selection.Selection` reads: it takes a tenth of the time.

    :param named: whether it reads the name of the output.
    """
    reason = reason_of(entry)
    return cast(
        JobRow,
        {
            "ended": entry[ENDED],
            "client": entry[CLIENT],
            "server": entry[SERVER],
            "outcome": OUTCOMES[entry[OUTCOME]].word,
            "reason": reason and reason.word,
            "output": names(entry)[0] if named else None,
        },
    )


def names(entry: Entry) -> tuple[str, str]:
    """The names of the output and of the compiler; empty if they are not known."""
    try:
        return names_of(entry[SUMMARY]) if entry[SUMMARY] else ("", "")
    except DecodeError:
        return "", ""


def status_document(
    totals: Totals,
    up_secs: float,
    oldest_wait_secs: float,
    recent: Recent,
    attention: list[Attention],
    pause: Pause | None = None,
    schedulers: Iterable[SchedulerRow] = (),
) -> StatusDocument:
    """The farm at a glance.

    :param oldest_wait_secs: how long the first of the requests that wait has waited.
    """
    return StatusDocument(
        v=1,
        version=__version__,
        up_secs=round(up_secs, 3),
        servers=totals.by_state,
        published=totals.published,
        workers=totals.workers,
        cpus=totals.cpus,
        slots=totals.slots,
        running=sum(totals.phases.values()),
        waiting=totals.waiting,
        oldest_wait_secs=round(oldest_wait_secs, 3) if totals.waiting else None,
        recent=recent,
        attention=attention,
        paused=None if pause is None else pause.to_json(),
        schedulers=list(schedulers),
    )


def server_row(server: ServerView, speed: float | None = None) -> ServerRow:
    """A build server. What it tells of its host is rounded, so that the row of an idle one stays the same.

    :param speed: see :mod:`sccachedist.records.speed`.
    """
    health, host, able = server.health, server.host or HostFacts(), server.abilities or Abilities()
    return ServerRow(
        address=str(server.server_id),
        name=host.name or None,
        machine=host.machine_name,
        machines=[name for machine in able.machines if (name := name_of(machine)) is not None],
        labels=list(able.labels),
        state=server.state,
        why=_why(server),
        published=not server.ours,
        version=server.version or None,
        cpus=server.num_cpus,
        workers=None if able.gateway is None else WorkersRow(live=able.gateway.workers, cpus=able.gateway.cpus),
        slots=server.slots,
        taken=server.taken,
        jobs=server.jobs,
        ended=None if health is None else health.ended,
        sent_local=None if health is None else health.sent_home,
        sent_local_share=None if health is None else round(server.sent_home, 4),
        toolchains=server.toolchains if server.ours else None,
        up_secs=round(server.up_secs, 3),
        seen_secs=round(server.seen_secs, 3),
        load=None if host.load is None else round(host.load / 1000, 1),
        memory_free=_rounded(host.memory_free),
        memory_total=_rounded(host.memory_total),
        disk_free=DiskFree(cache=_rounded(host.cache_free), build=_rounded(host.build_free)),
        uploads=[ServerUpload(toolchain=toolchain, bytes=size) for toolchain, size in host.uploads],
        speed=speed,
        certificate_expires=server.certificate_end,
        drain=None if server.drain is None else server.drain.to_json(),
    )


def _rounded(octets: int | None) -> int | None:
    return None if octets is None else octets // _ROUND * _ROUND


def _why(server: ServerView) -> str:
    match server.state:
        case "unfit":
            return server.unfit
        case "draining":
            return "it takes no jobs: it drains itself" if server.drain is None else _why_drained(server.drain)
        case "avoided":
            why = server.avoided_why.value if server.avoided_why else ""
            return f"{why}; again in {server.avoided_secs:.0f} s"
        case "busy":
            return _lack(server.lack)
        case "full" if server.lack:
            return f"all slots that it offers are taken; {_lack(server.lack)}"
        case "full":
            return "all of its slots are taken"
        case "open" if server.lack:
            return f"it offers {server.slots} slot{'' if server.slots == 1 else 's'} for now; {_lack(server.lack)}"
        case "open" if server.slowness >= SLOW_TIMES:
            times = f"its jobs take {server.slowness:.1f} times as long as usual"
            return f"{times}: others get jobs first, and it gets no more than it has CPUs"
    return ""


def _lack(word: str) -> str:
    """Why a server takes fewer jobs than it has CPUs for. A word of a later release stands for itself."""
    return _LACKS.get(word, word)


def _why_drained(drain: Drain) -> str:
    by = "an administrator" if drain.by in ("", "administrator") else drain.by
    return f"{by} drains it: {drain.reason}" if drain.reason else f"{by} drains it"


def running_row(job: JobView, client: str | None) -> RunningRow:
    """A job that is not over.

    :param client: as records name it.
    """
    return RunningRow(
        id=str(job.job_id),
        client=client,
        server=str(job.server_id),
        toolchain=job.toolchain or None,
        phase=job.phase.name.lower(),
        secs=round(max(job.began.values()), 3),
    )


class RefusalSums:
    """How many requests of one client got no slot, by reason, and how many were lost: of neither a file is known.

    :param client: as records name it.
    """

    def __init__(self, client: str | None) -> None:
        self._client = client
        self._rows: dict[Refusal | Outcome, RefusalCount] = {}

    def add(self, entry: Entry) -> None:
        """Count a request, if it is one of these. The latest come first."""
        lost = OUTCOMES[entry[OUTCOME]] is Outcome.SERVER_LOST
        reason = Outcome.SERVER_LOST if lost else reason_of(entry)
        if entry[CLIENT] != self._client or not isinstance(reason, Refusal | Outcome):
            return
        row = self._rows.setdefault(
            reason,
            RefusalCount(
                reason=reason.word,
                count=0,
                first=entry[ENDED],
                last=round(entry[ENDED], 6),
                detail=entry[DETAIL] or None,
            ),
        )
        row["count"] += 1
        row["first"] = round(entry[ENDED], 6)

    def rows(self) -> list[RefusalCount]:
        """All of them, the most frequent first."""
        return sorted(self._rows.values(), key=lambda row: -row["count"])


class ClientSums:
    """What clients have, and what became of their requests; each by the name that it has in records."""

    def __init__(self) -> None:
        self._holds, self._waits = Counter[str](), Counter[str]()
        self._tallies: defaultdict[str, RequestTally] = defaultdict(RequestTally)

    def wait(self, name: str | None, count: int) -> None:
        """Count requests that wait."""
        self._waits[name or ""] += count

    def hold(self, name: str | None) -> None:
        """Count a job that is not over, if its client is known."""
        if name is not None:
            self._holds[name] += 1

    def add(self, entry: Entry) -> None:
        """Count a request."""
        if entry[CLIENT] is not None:
            self._tallies[entry[CLIENT]].add(entry)

    def places(self) -> Iterator[tuple[float, int, str]]:
        """What orders them, for each one, with its name at the end: the one with the most time of slots is first."""
        for name in _all(self._holds, self._waits, self._tallies):
            tally = self._tallies.get(name)
            yield -tally.slot_secs if tally else 0.0, -self._holds.get(name, 0), name

    def rows(
        self, secs: float, standing: Callable[[str], Standing], places: Iterable[tuple[float, int, str]]
    ) -> Iterator[ClientRow]:
        """The first ones: at most :data:`MOST_NAMES`.

        :param secs: how far back the records go.
        :param standing: which share a client has, by its name.
        :param places: those of :meth:`places`.
        """
        for *_, name in nsmallest(MOST_NAMES, places):
            tally, share = self._tallies[name], standing(name)
            yield ClientRow(
                {
                    "client": name,
                    "holds": self._holds[name],
                    "waits": self._waits[name],
                    "weight": share.weight,
                    "max_slots": share.max_slots,
                    "class": share.class_.value,
                    "recent": tally.recent(secs),
                    "slot_secs": round(tally.slot_secs, 3),
                }
            )


class ToolchainSums:
    """Where toolchains are, and what was compiled with them."""

    def __init__(self) -> None:
        self._held: dict[str, ToolchainView] = {}
        self._uploads: defaultdict[str, list[ToolchainUpload]] = defaultdict(list)
        self._jobs, self._last = Counter[str](), dict[str, float]()
        self._compilers: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def hold(self, view: ToolchainView) -> None:
        """Note one that is known to be somewhere."""
        self._held[view.archive_id] = view

    def add_server(self, server: ServerView) -> None:
        """Note what clients are bringing to a build server."""
        if server.host is not None:
            for toolchain, size in server.host.uploads:
                self._uploads[toolchain].append(ToolchainUpload(server=str(server.server_id), bytes=size))

    def add(self, entry: Entry) -> None:
        """Count a request. The latest come first."""
        toolchain = entry[TOOLCHAIN]
        if not toolchain:
            return
        self._jobs[toolchain] += entry[SERVER] is not None
        self._last.setdefault(toolchain, entry[ENDED])
        if self._jobs[toolchain] <= _MOST_LOOKED_AT and (compiler := names(entry)[1]):
            self._compilers[toolchain][compiler] += 1

    def places(self) -> Iterator[tuple[int, str]]:
        """What orders them, for each one, with its name at the end: the one with the most jobs is first."""
        for name in _all(self._held, self._last, self._uploads):
            yield -self._jobs.get(name, 0), name

    def rows(self, places: Iterable[tuple[int, str]]) -> Iterator[ToolchainRow]:
        """The first ones: at most :data:`MOST_NAMES`.

        :param places: those of :meth:`places`.
        """
        for _, toolchain in nsmallest(MOST_NAMES, places):
            view = self._held.get(toolchain)
            yield ToolchainRow(
                toolchain=toolchain,
                compiler=next((name for name, _ in self._compilers[toolchain].most_common(1)), None),
                machine=name_of(view.machine) if view else None,
                size=view.size if view else None,
                held_by=[str(server) for server in view.servers] if view else [],
                uploads=self._uploads.get(toolchain, [])[:MOST_UPLOADS],
                jobs=self._jobs[toolchain],
                last_use=round(self._last[toolchain], 6) if toolchain in self._last else None,
            )


def _all(*keyed: Mapping[str, object]) -> list[str]:
    return list(dict.fromkeys(key for each in keyed for key in each))
