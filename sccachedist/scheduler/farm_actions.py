"""What an administrator asks for, which build servers and jobs that means, and what each step does, in a sentence.

Pure: :func:`plan` decides, and nothing has changed until the steps are performed. Who may ask is not known here.
"""

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import attrs

from sccachedist.budgets import Party
from sccachedist.errors import DecodeError, SccachedistError
from sccachedist.job_phases import JobPhase
from sccachedist.printable import excerpt, some
from sccachedist.records.documents import DoneRow
from sccachedist.scheduler.build_server import BuildServer
from sccachedist.scheduler.events import Events
from sccachedist.scheduler.farm_orders import Requested
from sccachedist.scheduler.interventions import FORGET_SECS, Interventions
from sccachedist.scheduler.out_of_service import MOST_DRAINS, Drain, Pause
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import JobId

_NO_ORDERS = "a published build server takes no such orders"


class NothingMatches(SccachedistError):
    """There is nothing that the administrator means."""


class CannotBeDone(SccachedistError):
    """What the administrator means is there, and cannot be changed from here."""


@attrs.frozen
class Step:
    """One thing to do, and what it does.

    :param perform: does it; by default, nothing.
    """

    about: str
    text: str
    found: bool = True
    perform: Callable[[Interventions, float], Events] = lambda interventions, now: ()

    def to_json(self) -> DoneRow:
        """As an answer has it."""
        return DoneRow(about=self.about, text=self.text, found=self.found)


@attrs.frozen
class Plan:
    """All that an action does, in one sentence and in steps."""

    text: str
    steps: tuple[Step, ...]


@attrs.frozen
class Circumstances:
    """What a plan depends on beside the core.

    :param by: who asks.
    :param now: the time by the core's clock; ``time``: in seconds since 1970.
    :param waiting: how many requests wait for a slot.
    :param missed: the build servers that fell silent; ``forget``: misses one no longer.
    :param name_of: a client as records name it.
    """

    by: str
    now: float
    time: float
    waiting: int
    missed: Collection[ServerId]
    forget: Callable[[ServerId], None]
    name_of: Callable[[Party | None], str | None]


def plan(asked: Requested, farm: Interventions, around: Circumstances) -> Plan:
    """Decide what to do.

    :raises NothingMatches: nothing is there that is meant.
    :raises CannotBeDone: what is meant cannot be changed from here.
    """
    return _PLANS[asked.action](asked, farm, around)


class _Names:
    """Names of build servers: an address with its port or without, a host's name, or a pattern with ``*`` and ``?``."""

    def __init__(self, names: Iterable[str]) -> None:
        self.exact = {name for name in names if not re.search(r"[*?]", name)}
        patterns = [fnmatch.translate(name.replace("[", "[[]")) for name in names if name not in self.exact]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def mean(self, server_id: ServerId, server: BuildServer | None) -> bool:
        """Whether one of them means the build server at an address; None if no such server lives."""
        called = [str(server_id), str(server_id.host)]
        if server is not None and server.report is not None and server.report.host is not None:
            called.append(server.report.host.name)
        if not self.exact.isdisjoint(called):
            return True
        return self._pattern is not None and any(map(self._pattern.match, called))

    def addresses(self) -> Iterator[ServerId]:
        """Those that are whole addresses, whether there are build servers or not."""
        for name in sorted(self.exact):
            try:
                yield ServerId.parse(name)
            except DecodeError:
                continue


def _meant(asked: Requested, farm: Interventions, known: Iterable[ServerId]) -> list[ServerId]:
    """Those of some addresses that are meant, and whole addresses that are named."""
    names = _Names(asked.servers or ())
    found = [server_id for server_id in known if asked.servers is None or names.mean(server_id, farm.server(server_id))]
    if not found:
        raise NothingMatches(f"no build server is meant by {excerpt(', '.join(asked.servers or ()))}")
    return found


def _living(asked: Requested, farm: Interventions) -> list[BuildServer]:
    known = {server.server_id: server for server in farm.servers()}
    return [known[server_id] for server_id in _meant(asked, farm, known)]


def _drain(asked: Requested, farm: Interventions, around: Circumstances) -> Plan:
    until = None if asked.until is None else around.time + asked.until
    drain = Drain(around.by, asked.reason, around.time, until)
    known = [*(server.server_id for server in farm.servers()), *_Names(asked.servers or ()).addresses()]
    meant = dict.fromkeys(_meant(asked, farm, known))
    if len({*farm.out_of_service.drains, *meant}) > MOST_DRAINS:
        raise CannotBeDone(f"no more than {MOST_DRAINS} addresses can be drained")
    steps = []
    for server_id in meant:
        server = farm.server(server_id)
        if server is None:
            text = f"no build server has the address {server_id}; one that comes there gets no jobs"
        else:
            text = f"{server_id} is drained: it gets no new jobs, {_go_on(len(server.jobs))}"

        def perform(to: Interventions, now: float, server_id: ServerId = server_id) -> Events:
            return to.drain(server_id, drain, now)

        steps.append(Step(str(server_id), text, server is not None, perform))
    return Plan(f"{some(len(steps), 'build server')} {_gets(len(steps))} no new jobs", tuple(steps))


def _undrain(asked: Requested, farm: Interventions, around: Circumstances) -> Plan:
    drains, living = farm.out_of_service.drains, (server.server_id for server in farm.servers())
    named = set(_Names(asked.servers or ()).addresses())
    meant = _meant(asked, farm, dict.fromkeys([*drains, *living, *named]))
    meant = [server_id for server_id in meant if server_id in drains or server_id in named] or meant
    steps = []
    for server_id in meant:
        server = farm.server(server_id)
        if server is None:
            text = f"no build server has the address {server_id}; one that comes there gets jobs"
        elif server.drain is None and not server.takes_jobs:
            text = f"{server_id} is not drained from here: it drains itself (SIGUSR2 ends that), or is unfit"
        else:
            text = f"{server_id} is not drained: it gets new jobs"

        def perform(to: Interventions, now: float, server_id: ServerId = server_id) -> Events:
            return to.drain(server_id, None, now, around.by)

        steps.append(Step(str(server_id), text, server is not None, perform))
    return Plan(f"{some(len(steps), 'build server')} {_gets(len(steps))} jobs again", tuple(steps))


def _forgive(asked: Requested, farm: Interventions, around: Circumstances) -> Plan:
    meant = _living(asked, farm)
    avoided = [server for server in meant if server.avoided_until > around.now]
    if not avoided:
        raise NothingMatches(f"{_none_of(meant, 'avoided')}, so there is nothing to forgive")
    steps = tuple(
        Step(
            str(server.server_id),
            f"{server.server_id} gets jobs like any other again, {server.avoided_until - around.now:.0f} s earlier",
            perform=lambda to, now, server_id=server.server_id: to.forgive(server_id, now),  # type: ignore[misc]
        )
        for server in avoided
    )
    return Plan(f"{some(len(steps), 'build server')} {_gets(len(steps))} jobs like any other again", steps)


def _forget_server(asked: Requested, farm: Interventions, around: Circumstances) -> Plan:
    known = {server.server_id: server for server in farm.servers()}
    meant = _meant(asked, farm, dict.fromkeys([*known, *around.missed]))
    steps = []
    for server_id in meant:
        server = known.get(server_id)
        if server is None:

            def no_longer(_to: Interventions, _now: float, server_id: ServerId = server_id) -> Events:
                around.forget(server_id)
                return ()

            steps.append(Step(str(server_id), f"{server_id} is missed no longer", perform=no_longer))
        elif (silent := around.now - server.seen) > server.patience_secs / 2:

            def perform(to: Interventions, now: float, server_id: ServerId = server_id) -> Events:
                return to.forget_server(server_id, now)

            jobs = f", and its {some(len(server.jobs), 'job')} with it" if server.jobs else ""
            text = f"{server_id} has been silent for {silent:.0f} s: it is forgotten{jobs}"
            steps.append(Step(str(server_id), text, perform=perform))
    if not steps:
        server = known[meant[0]]
        heard = f"{server.server_id} was heard of {around.now - server.seen:.0f} s ago"
        raise CannotBeDone(f"only a silent build server can be forgotten, and {heard}: drain it instead")
    return Plan(f"{some(len(steps), 'build server')} {'is' if len(steps) == 1 else 'are'} forgotten", tuple(steps))


def _kill(asked: Requested, farm: Interventions, around: Circumstances) -> Plan:
    if asked.client is None:
        found = [job_id for job_id, _ in farm.jobs() if str(job_id).endswith(asked.job)]
        if len(found) != 1:
            said = "several jobs have numbers that end" if found else "no job that is not over has a number that ends"
            raise NothingMatches(f"{said} with {asked.job}")
    else:
        clients = {job.client for _, job in farm.jobs()}
        meant = {client for client in clients if client is not None and around.name_of(client) == asked.client}
        found = [job_id for job_id, job in farm.jobs() if job.client in meant]
        if not found:
            raise NothingMatches(f"{asked.client} has no job that is not over")
    steps = [_kill_step(job_id, farm) for job_id in found]
    killed = sum(step.found for step in steps)
    if not killed:
        raise CannotBeDone(f"{_NO_ORDERS}: {some(len(steps), 'job')} there {'goes' if len(steps) == 1 else 'go'} on")
    text = f"{some(killed, 'job')} will be compiled by {'its client' if killed == 1 else 'their clients'}"
    if others := len(steps) - killed:
        text += f"; {others} more {'goes' if others == 1 else 'go'} on, for {_NO_ORDERS}"
    return Plan(text, tuple(steps))


def _kill_step(job_id: JobId, farm: Interventions) -> Step:
    job = farm.job(job_id)
    server = farm.server(job.server_id)
    if server is None or server.report is None:
        return Step(str(job_id), f"job {job_id} on {job.server_id} goes on: {_NO_ORDERS}", found=False)
    doing = "runs" if job.phase is JobPhase.STARTED else "waits for its client"
    text = f"job {job_id} {doing} on {job.server_id}, which is told with its next heartbeat to end it"
    return Step(str(job_id), text, perform=lambda to, now: to.kill(job_id))


def _pause(asked: Requested, farm: Interventions, around: Circumstances) -> Plan:
    jobs = len(list(farm.jobs()))
    pause = Pause(around.by, asked.reason, around.time)
    text = f"the farm is paused: clients compile themselves, {_go_on(jobs)}"
    if around.waiting:
        text += f"; {some(around.waiting, 'request')} in the queue {'is' if around.waiting == 1 else 'are'} sent away"
    return Plan(text, (Step("farm", text, perform=lambda to, now: to.pause(pause)),))


def _resume(asked: Requested, farm: Interventions, around: Circumstances) -> Plan:
    if farm.out_of_service.pause is None:
        raise NothingMatches("the farm is not paused")
    text = "the farm goes on: requests get slots again"
    return Plan(text, (Step("farm", text, perform=lambda to, now: to.pause(None)),))


def _forget_toolchain(asked: Requested, farm: Interventions, around: Circumstances) -> Plan:
    known = [each for each in farm.toolchains() if each.startswith(asked.toolchain)]
    if len(known) != 1:
        said = "several toolchains have ids that begin" if known else "no build server tells of a toolchain that begins"
        raise NothingMatches(f"{said} with {asked.toolchain}")
    (toolchain,) = known
    holders = [server for server in _living(asked, farm) if toolchain in server.toolchains]
    if not holders:
        raise NothingMatches(f"{_none_of(_living(asked, farm), f'known to have toolchain {toolchain[:12]}')}")
    steps = []
    for server in holders:

        def perform(to: Interventions, now: float, server_id: ServerId = server.server_id) -> Events:
            return to.forget_toolchain(server_id, toolchain, now)

        users = sum(farm.job(job_id).toolchain == toolchain for job_id in server.jobs)
        text = f"{server.server_id} is told with its next heartbeat to remove toolchain {toolchain[:12]}"
        if users:
            text += f"; {some(users, 'job')} may use it: it goes when none does, within {FORGET_SECS / 60:.0f} minutes"
        steps.append(Step(str(server.server_id), text, perform=perform))
    said = f"{some(len(steps), 'build server')} {'forgets' if len(steps) == 1 else 'forget'} it"
    return Plan(f"{said}: the next client that needs it brings it again", tuple(steps))


_PLANS: Mapping[str, Callable[[Requested, Interventions, Circumstances], Plan]] = {
    "drain": _drain,
    "undrain": _undrain,
    "forgive": _forgive,
    "forget_server": _forget_server,
    "kill": _kill,
    "pause": _pause,
    "resume": _resume,
    "forget_toolchain": _forget_toolchain,
}


def _gets(number: int) -> str:
    return "gets" if number == 1 else "get"


def _go_on(jobs: int) -> str:
    if not jobs:
        return "and none runs"
    return f"the {some(jobs, 'job')} that {'is' if jobs == 1 else 'are'} there {'goes' if jobs == 1 else 'go'} on"


def _none_of(meant: Collection[BuildServer], what: str) -> str:
    if len(meant) == 1:
        return f"{next(iter(meant)).server_id} is not {what}"
    return f"none of the {len(meant)} build servers is {what}"
