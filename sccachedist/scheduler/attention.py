"""What an administrator should look at: rules over build servers, the queue, and what became of requests lately.

Pure. Each finding has a text, and the words of :mod:`sccachedist.outcomes` for what mends it.
"""

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence

import attrs

from sccachedist.outcomes import Lack, Outcome, Refusal, SentLocal, Word
from sccachedist.records.documents import Attention, SchedulerRow
from sccachedist.records.ring import CLIENT, SERVER, Entry, reason_of
from sccachedist.records.tally import RequestTally
from sccachedist.scheduler.snapshot import ServerView
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.host_facts import HostFacts

#: Findings of one kind that are listed one by one.
MOST_LISTED = 10
#: A part of the jobs of a server, or of all requests, and so many of them at least, that are worth a look.
PART, LEAST = 0.1, 5
#: Seconds that a request waits before it is worth a look.
LONG_WAIT_SECS = 30.0
#: Seconds for which the store of the lock does not answer before it is worth a look.
STORE_SECS = 10.0
#: Bytes that are too few on a disk, and of memory: the latter if they are less than a part of it, too.
LEAST_DISK, LEAST_MEMORY, LEAST_MEMORY_PART = 2_000_000_000, 2_000_000_000, 0.05
DAY_SECS = 86_400
#: Seconds before its end that a certificate is worth a look: our build server has renewed its own long before.
CERTIFICATE_SECS = 14 * DAY_SECS
_MADE_BY_ITSELF = (
    "Restart the build server: it makes a new certificate. Compare the clocks of the hosts if it has done so."
)
#: What is not the farm's fault.
_NOT_OURS = {SentLocal.SUSPICIOUS, SentLocal.OPTIONS, SentLocal.CLIENT_GONE, SentLocal.KILLED, SentLocal.MACHINE}
_NO_MATTER = {Refusal.UNAUTHORIZED, Refusal.CLIENT_GONE, Refusal.SHUTDOWN, Refusal.NO_SERVERS, Refusal.PAUSED}
_SETTLING = "Wait: build servers register within seconds. How long requests wait for them is queue.settle_secs."
_SILENT = (
    "Start it, or see what is in between. If it has gone for good, take it out of cluster.schedulers of the others."
)
_TWO_LEAD = "Wait: one gives way within seconds. If it does not, see that cluster.lock is the same for all."
_DIFFERS = (
    "Compare the configuration files of the two, and reload: tokens that it does not know fail builds when it leads."
)
_NO_STORE = (
    "See whether the store of cluster.lock runs: the schedulers' logs say why it does not answer. The farm goes on."
)
_NO_OBJECTS = (
    "Run sccachedist doctor --config server.conf there, or see whether the store of toolchains.store runs. Clients "
    "bring toolchains meanwhile."
)
_LOOK_THERE = "Run sccachedist doctor --config server.conf on the build server, or drain it."


@attrs.define
class Lately:
    """What became of requests lately, one record at a time.

    :ivar all: of all requests, whether they had a build server or not.
    :ivar jobs: how many build servers had; ``sent_home``: why they gave back jobs, for reasons that may be their own.
    """

    all: RequestTally = attrs.field(factory=RequestTally)
    jobs: Counter[str] = attrs.field(factory=Counter)
    sent_home: defaultdict[str, Counter[SentLocal]] = attrs.field(factory=lambda: defaultdict(Counter))
    strangers: Counter[str] = attrs.field(factory=Counter)

    def add(self, entry: Entry, times: int = 1) -> None:
        """Count a request; ``times`` -1: no longer."""
        self.all.add(entry, times)
        server, reason = entry[SERVER], reason_of(entry)
        if server is not None:
            self.jobs[server] += times
            if isinstance(reason, SentLocal) and reason not in _NOT_OURS:
                self.sent_home[server][reason] += times
        elif reason is Refusal.UNAUTHORIZED:
            self.strangers[entry[CLIENT] or ""] += times


@attrs.define
class Shown:
    """The first findings of each kind."""

    findings: list[Attention] = attrs.field(factory=list)
    _listed: Counter[str] = attrs.field(factory=Counter)

    def add(self, finding: Attention) -> None:
        """Show one more, if there are not too many of its kind already."""
        self._listed[finding["mend"]] += 1
        if self._listed[finding["mend"]] <= MOST_LISTED:
            self.findings.append(finding)


@attrs.define
class ServerFindings:
    """What is to be said of build servers, grown by one of them at a time.

    :param now: in seconds since 1970.
    """

    now: float
    ids: set[ServerId] = attrs.field(factory=set)
    is_any_open: bool = False
    found: Shown = attrs.field(factory=Shown)

    def add(self, server: ServerView) -> None:
        """Look at one."""
        self.ids.add(server.server_id)
        self.is_any_open |= server.is_open and server.slots + server.taken > 0
        for finding in _of_server(server):
            self.found.add(finding)
        if server.certificate_end is not None and server.certificate_end - self.now < CERTIFICATE_SECS:
            self.found.add(_of_certificate(str(server.server_id), server.certificate_end - self.now, _MADE_BY_ITSELF))


def attention(
    servers: ServerFindings,
    waiting: int,
    oldest_wait_secs: float,
    lately: Lately,
    missed: Mapping[ServerId, float],
    certificate_end: float | None = None,
    *,
    is_settling: bool = False,
    schedulers: Sequence[SchedulerRow] = (),
) -> list[Attention]:
    """All of it, what is critical first.

    :param waiting: how many requests wait for a slot; ``oldest_wait_secs``: how long the first of them has waited.
    :param missed: for how many seconds build servers have been away that fell silent.
    :param certificate_end: when the scheduler's own certificate ends, in seconds since 1970; None if it has none.
    :param is_settling: whether requests wait for a first build server, because the scheduler has just begun.
    :param schedulers: those of the farm, if they are several.
    """
    found = [
        *_no_servers(servers.is_any_open, is_settling),
        *_schedulers(schedulers, servers.now),
        *_missed(missed, servers.ids),
        *_strangers(lately),
        *_own_certificate(certificate_end, servers.now),
        *servers.found.findings,
        *_sent_home(lately),
        *_of_farm(lately),
        *_waits(waiting, oldest_wait_secs),
    ]
    shown = Shown()
    for finding in found:
        shown.add(finding)
    return sorted(shown.findings, key=lambda finding: not finding["critical"])


def _finding(about: str, text: str, mend: str, *, critical: bool = False) -> Attention:
    return Attention(critical=critical, about=about, text=text, mend=mend)


def _no_servers(is_any_open: bool, is_settling: bool) -> Iterator[Attention]:
    if is_any_open:
        return
    if is_settling:
        yield _finding("farm", "The scheduler has just begun: requests wait for a first build server.", _SETTLING)
    else:
        yield _finding("farm", Refusal.NO_SERVERS.means, Refusal.NO_SERVERS.mend, critical=True)


def _schedulers(rows: Sequence[SchedulerRow], now: float) -> Iterator[Attention]:
    """What is wrong with several schedulers: then there may be no other one to take over."""
    for row in rows:
        if row["state"] == "silent" and row["since"] is not None:
            text = f"The scheduler {row['url']} has been silent for {now - row['since']:.0f} s."
            yield _finding(row["url"], text, _SILENT, critical=True)
        if row["differs"]:
            text = f"The scheduler {row['url']} has another {', '.join(row['differs'])} than the one that leads."
            yield _finding(row["url"], text, _DIFFERS, critical=True)
    leaders = [row["url"] for row in rows if row["state"] == "leads"]
    if len(leaders) > 1:
        yield _finding("schedulers", f"More than one scheduler leads: {', '.join(leaders)}.", _TWO_LEAD, critical=True)
    deaf = [row for row in rows if now - (row["store_silent_since"] or now) >= STORE_SECS]
    if deaf:
        secs = max(now - (row["store_silent_since"] or now) for row in deaf)
        text = f"The store of the lock does not answer {', '.join(row['url'] for row in deaf)}, for {secs:.0f} s."
        yield _finding("schedulers", text, _NO_STORE, critical=True)


def _missed(missed: Mapping[ServerId, float], here: Container[ServerId]) -> Iterator[Attention]:
    for server, secs in missed.items():
        if server in here:
            continue  # the views may be a second older
        text = f"{server} has vanished: it fell silent, and was dropped {secs:.0f} s ago."
        yield _finding(str(server), text, "See whether its host and the build server run.", critical=True)


def _strangers(lately: Lately) -> Iterator[Attention]:
    for client, count in (+lately.strangers).most_common():
        text = f"{client} is refused with 401 ({_times(count)}): its builds fail."
        yield _finding(client, text, Refusal.UNAUTHORIZED.mend, critical=True)


def _of_server(server: ServerView) -> Iterator[Attention]:
    is_silent = server.seen_secs > server.patience_secs / 2
    host = server.host
    is_short = host is not None and _is_short(host)
    store = None if server.abilities is None else server.abilities.store
    trouble = "" if store is None else store.trouble
    is_out_of_memory = not server.slots and server.lack == Lack.NO_MEMORY.word
    if not (server.unfit or server.avoided_why or is_silent or is_short or trouble or is_out_of_memory):
        return  # most of thousands
    address = str(server.server_id)
    if trouble:
        yield _finding(address, f"{address} cannot use its object store: {trouble}", _NO_OBJECTS)
    if host is not None and is_short:
        yield from _of_host(address, host)
    if is_out_of_memory:
        yield _finding(address, f"{address} takes no jobs: {Lack.NO_MEMORY.means}", Lack.NO_MEMORY.mend)
    if server.unfit:
        mend = SentLocal.NO_WORKER.mend if _has_no_worker(server) else SentLocal.SANDBOX.mend
        yield _finding(address, f"{address} says that it is unfit for jobs: {server.unfit}", mend)
    if server.avoided_why is not None:
        text = f"{address} is avoided for {server.avoided_secs:.0f} s: {server.avoided_why.value}."
        yield _finding(address, text, _LOOK_THERE)
    if is_silent:
        text = (
            f"{address} has been silent for {server.seen_secs:.0f} s, and is dropped after {server.patience_secs:.0f}."
        )
        yield _finding(address, text, Outcome.SERVER_LOST.mend)


def _has_no_worker(server: ServerView) -> bool:
    gateway = None if server.abilities is None else server.abilities.gateway
    return gateway is not None and not gateway.workers


def _is_short(host: HostFacts) -> bool:
    free = min(LEAST_DISK if size is None else size for size in (host.cache_free, host.build_free))
    return free < LEAST_DISK or _lacks_memory(host)


def _lacks_memory(host: HostFacts) -> bool:
    if host.memory_free is None or host.memory_total is None:
        return False
    return host.memory_free < min(LEAST_MEMORY, LEAST_MEMORY_PART * host.memory_total)


def _of_host(address: str, host: HostFacts) -> Iterator[Attention]:
    for directory, free, mend in (
        ("cache_dir", host.cache_free, "Make room on the disk of cache_dir, or lower toolchain_cache_size."),
        ("build_dir", host.build_free, "Make room on the disk of build_dir, or lower sandbox.scratch_bytes."),
    ):
        if free is not None and free < LEAST_DISK:
            yield _finding(address, f"{address} has {_megabytes(free)} left on the disk of {directory}.", mend)
    if host.memory_free is not None and _lacks_memory(host):
        text = f"{address} has {_megabytes(host.memory_free)} of memory left."
        yield _finding(address, text, "Give the build server fewer slots (capacity.cpus), or its host more memory.")


def _megabytes(octets: int) -> str:
    return f"{octets / 1e6:.0f} MB"


def _own_certificate(end: float | None, now: float) -> Iterator[Attention]:
    if end is not None and end - now < CERTIFICATE_SECS:
        yield _of_certificate("scheduler", end - now, "Renew the files of [tls], and send the scheduler SIGHUP.")


def _of_certificate(about: str, secs: float, mend: str) -> Attention:
    """A certificate that ends soon, or has ended: then no client trusts it any more."""
    text = f"ends in {secs / DAY_SECS:.0f} days" if secs > 0 else "has ended: clients do not trust it any more"
    name = "the scheduler" if about == "scheduler" else about
    return _finding(about, f"The certificate of {name} {text}.", mend, critical=secs <= 0)


def _sent_home(lately: Lately) -> Iterator[Attention]:
    """Servers that send home more than a part of their jobs, for reasons that may be their own."""
    for address, reasons in lately.sent_home.items():
        count, total = reasons.total(), lately.jobs[address]
        if count >= LEAST and count >= PART * total:
            ((reason, _),) = reasons.most_common(1)
            text = f"{address} sends {count / total:.0%} of its jobs home, most of them for {reason.word}."
            yield _finding(address, text, reason.mend)


def _of_farm(lately: Lately) -> Iterator[Attention]:
    """Requests without a slot, and jobs that did not come to an end."""
    everything = lately.all
    counts: dict[Word, int] = {
        reason: count
        for reason, count in everything.reasons().items()
        if isinstance(reason, Refusal) and reason not in _NO_MATTER
    }
    outcomes = everything.outcomes()
    for outcome, least in ((Outcome.SERVER_LOST, 1), (Outcome.UNCLAIMED, max(LEAST, PART * everything.total))):
        if outcomes.get(outcome, 0) >= least:
            counts[outcome] = outcomes[outcome]
    for word, count in counts.items():
        yield _finding("farm", f"{word.word} ({_times(count)}): {word.means}", word.mend)


def _waits(waiting: int, oldest_wait_secs: float) -> Iterator[Attention]:
    if waiting and oldest_wait_secs > LONG_WAIT_SECS:
        text = f"{waiting} requests wait for a slot, the first of them for {oldest_wait_secs:.0f} s."
        if waiting == 1:
            text = f"A request waits for a slot, for {oldest_wait_secs:.0f} s by now."
        yield _finding("farm", text, Refusal.QUEUE_TIMEOUT.mend)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
