"""Puts the scheduler together, from its settings: ``twistd sccache-scheduler``.

Only this module knows all parts. It decides nothing of what they do.
"""

import os
import time
from functools import partial
from typing import Any

import attrs
from twisted.application.service import IService
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.threads import deferToThreadPool

from sccachedist import __version__
from sccachedist.auth.named_clients import NamedClientTokens
from sccachedist.auth.roster import Roster
from sccachedist.auth.servers import Rewritten
from sccachedist.auth.signed_tokens import SignedClientTokens
from sccachedist.cluster.agreement import Agreement
from sccachedist.cluster.leadership import Alone, Election
from sccachedist.cluster.passing import PassingRoutes
from sccachedist.cluster.roll import SchedulerAccount
from sccachedist.config import SchedulerSettings, load_scheduler_settings
from sccachedist.daemon.logs import Logger
from sccachedist.daemon.periodic import PeriodicService
from sccachedist.daemon.reload import Reload
from sccachedist.daemon.signals import OnSignal, end_at_once_when_told_again
from sccachedist.daemon.startup import AtStart, AtStop, RoleOptions, RoleService, check_address, make_role
from sccachedist.metrics.both_roles import monitor_port, watch, watch_reloads
from sccachedist.metrics.registry import Registry
from sccachedist.metrics.series import SCHEDULER
from sccachedist.peers.http_client import Calls, pinned_calls
from sccachedist.peers.messages import decoded
from sccachedist.peers.pins import Pins
from sccachedist.peers.service_calls import service_calls
from sccachedist.records.documents import SchedulerRow
from sccachedist.records.line_writer import record_writer
from sccachedist.scheduler.admin_routes import AdminRoutes
from sccachedist.scheduler.board_file import BoardFile
from sccachedist.scheduler.browsers import Browsers
from sccachedist.scheduler.client_auth import client_auth, client_digest, service_proxies
from sccachedist.scheduler.client_metrics import watch_clients
from sccachedist.scheduler.client_routes import ClientRoutes
from sccachedist.scheduler.core import Reservation, SchedulerCore
from sccachedist.scheduler.departures import Departures
from sccachedist.scheduler.election_metrics import watch_election
from sccachedist.scheduler.event_counts import EventCounts
from sccachedist.scheduler.event_log import EventLog
from sccachedist.scheduler.events import Event, Observer, ServerLeft
from sccachedist.scheduler.farm_changes import FarmChanges
from sccachedist.scheduler.farm_readers import FarmReaders
from sccachedist.scheduler.farm_routes import FarmRoutes
from sccachedist.scheduler.farm_status import FarmStatus
from sccachedist.scheduler.farm_views import FarmViews
from sccachedist.scheduler.feed_routes import FeedRoutes
from sccachedist.scheduler.handover import TICK_SECS, Handover
from sccachedist.scheduler.history import STEP_SECS
from sccachedist.scheduler.job_ids import ids_since
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.job_tokens import JobTokens
from sccachedist.scheduler.leading import PLACE, Office, number_of, other_leaders, passing_on, url_of
from sccachedist.scheduler.membership import Membership
from sccachedist.scheduler.metrics import SchedulerMetrics
from sccachedist.scheduler.monitor_events import MonitorEvents
from sccachedist.scheduler.monitor_feed import MonitorFeed
from sccachedist.scheduler.notices import Notices
from sccachedist.scheduler.out_of_service import OutOfService
from sccachedist.scheduler.own_routes import OwnRoutes
from sccachedist.scheduler.page_routes import PageFiles, PageRoutes
from sccachedist.scheduler.reloaded_parts import RecordTakers, SchedulerParts, of_browsers, without_browsers
from sccachedist.scheduler.reloaded_secrets import reloaded_secrets
from sccachedist.scheduler.roles import Principals
from sccachedist.scheduler.routes import SchedulerRoutes
from sccachedist.scheduler.scrape_routes import ScrapeRoutes
from sccachedist.scheduler.server_auth import Outdated, rewritten, server_auth
from sccachedist.scheduler.sessions import Sessions
from sccachedist.scheduler.sign_in_routes import SignInRoutes
from sccachedist.scheduler.standings import Standings
from sccachedist.scheduler.state_file import StateFile
from sccachedist.scheduler.tenure import Tenure
from sccachedist.scheduler.term import Term, Terms, not_kept
from sccachedist.scheduler.watching import Watching
from sccachedist.web.listener import Listen, Listener, listening_with, over_tls
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted
from sccachedist.web.slices import PAUSE_SECS, Slices
from sccachedist.web.tls import CertificateFiles
from sccachedist.web.turns import Turns
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import ASSIGN_JOB_RESULT, TOOLCHAIN, AssignJobResult, Toolchain

log = Logger()

Options = RoleOptions

#: Seconds that a build server has to take a job, before another one is asked.
ASSIGN_SECS = 10.0
#: The most bytes of its answer.
ASSIGN_ANSWER_BYTES = 4096
#: Seconds between two looks for silent servers and for jobs whose clients have not come.
EXPIRY_SECS = 1.0
#: Seconds until the next look, if more jobs are due.
EXPIRY_PAUSE_SECS = 0.002


def makeService(options: RoleOptions) -> IService:
    """The scheduler that a configuration file describes."""
    return make_role("scheduler", options, load_scheduler_settings, scheduler_service)


def scheduler_service(
    settings: SchedulerSettings,
    reactor: Any,
    listen: Listen | None = None,
    reload: Reload[SchedulerSettings] | None = None,
    election: Election | None = None,
) -> RoleService:
    """A scheduler, not started yet.

    :param listen: opens ports; by default, the reactor's.
    :param reload: changes the settings later; by default, they stay.
    :param election: says whether this scheduler leads; by default, the settings say who does.
    :raises ConfigError: the settings name an address or a file that cannot be used.
    """
    check_address("public_addr", settings.public_addr)
    reload = reload or Reload(settings, lambda: settings, reactor.seconds)
    pins = Pins()
    inward, outward = pinned_calls(reactor, pins), service_calls(reactor, service_proxies(settings, os.environ))
    build_servers = PinnedBuildServers(inward, pins)
    began = time.time() - reactor.seconds()
    tokens = JobTokens(lambda: began + reactor.seconds())
    agreement = Agreement(lambda: reload.settings, os.urandom)
    membership = None
    if election is None and settings.cluster is not None:
        membership = Membership(settings.cluster, reactor, tokens.now, agreement.proofs)
        election = membership.candidate
    election = election or Alone()
    candidate = None if membership is None else membership.candidate
    own_url = url_of(settings)
    tenure = Tenure(election, None if isinstance(election, Alone) else own_url, reactor.seconds)
    writer = record_writer(settings.records, reactor)
    changes = FarmChanges()
    takers = RecordTakers(writer, (changes.ended,))
    takers.choose(settings)
    counts = EventCounts()
    records = JobRecords(settings.records, began, reactor.seconds, takers.now, lambda: tenure.led_by)
    departures = Departures(reactor.seconds)
    notices = Notices(began, reactor.seconds, records.name_of)
    log_events = EventLog(reactor.seconds, records.name_of)
    observers: list[Observer] = [log_events, build_servers.observe, records, counts, departures, notices, changes]

    out_of_service = OutOfService()
    in_thread = partial(deferToThreadPool, reactor, reactor.getThreadPool())
    state = StateFile(settings.admin.state, out_of_service, in_thread, reactor)

    standings, turns, outdated = Standings(settings.clients.named), Turns(reactor), Outdated(reactor)
    servers = server_auth(settings.server_auth, outdated, reactor)
    handover = None
    if membership is not None:
        handover = Handover(membership.board, out_of_service, servers, Slices(turns), reactor)
    elif settings.admin.state is not None and isinstance(election, Alone):
        path = settings.admin.state.with_name(f"{settings.admin.state.name}.servers")
        board = BoardFile(path, in_thread, time.time)
        handover = Handover(board, None, servers, Slices(turns), reactor)
    if handover is not None:
        observers.append(handover.heartbeats)

    def begin_term() -> Term:
        now, limits = reload.settings, reload.settings.limits
        ids = ids_since(tokens.now()) if membership is None else membership.job_ids()
        core = SchedulerCore(
            ids.first,
            limits.unclaimed_jobs,
            limits.servers_per_address,
            out_of_service,
            job_step=ids.step,
            by_network=servers.has_one_token,
        )
        core.placement.rule = now.policy.placement
        hear = not_kept if handover is None else handover.hear
        return Term(core, build_servers, now.queue, reactor, tokens, observers, standings.of, hear)

    terms, roster = Terms(begin_term), Roster(settings.clients.named)
    slices = Slices(turns, pause_secs=PAUSE_SECS)
    signers = client_auth(settings, outward, reactor, outdated.client, roster.knows)
    clients = NamedClientTokens(roster, signers, tokens.now)
    trusted = settings.network.trusted_proxies
    registry = Registry(SCHEDULER)
    registry.read("sccachedist_scheduler_records_dropped_total", lambda: writer.dropped)
    registry.read("sccachedist_scheduler_outdated_secrets_total", lambda: outdated.counts)
    metrics = SchedulerMetrics(registry, terms, counts, records.counts, slices, tokens.now)
    watch_clients(registry, roster, terms, tokens.now)
    views = FarmViews(terms, slices, records)
    principals = Principals.of(settings.admin, settings.web)
    passing = None if isinstance(election, Alone) else passing_on(election, settings, reactor, membership)
    watch_election(registry, tenure, candidate, None if passing is None else passing.search)
    place = None if passing is None else PLACE
    sessions = Sessions.of(settings, principals, client_digest(settings.client_auth), roster.knows, place)
    browsers = Browsers(settings.tls is not None, trusted, settings.web.user_header)
    readers = FarmReaders(clients, principals, sessions, browsers, settings.web, records.name_of, records.now)
    limits = settings.limits
    tls = settings.tls
    files = None if tls is None else CertificateFiles(tls.certificate, tls.private_key)

    def account(proofs: str | None = None) -> SchedulerAccount:
        silent, differs = None if candidate is None else candidate.silent_secs, agreement.differing(proofs)
        return SchedulerAccount(__version__, tenure.number, tenure.secs, silent, differs)

    def schedulers() -> list[SchedulerRow]:
        return [] if membership is None else membership.schedulers(account())

    status = FarmStatus(views, records, departures, partial(_expiry, files), schedulers)
    watching = Watching(settings.web.viewers, views, status, notices, changes, reactor)
    registry.read("sccachedist_scheduler_viewers", lambda: len(watching))
    fed, sign_in = (
        FeedRoutes(watching, readers, settings.web.names),
        SignInRoutes(readers, clients, sessions, browsers, settings.web, records.now, number_of(settings)),
    )
    for_all = (
        AdminRoutes(views, readers, departures, state.kept, notices.tell, reload),
        FarmRoutes(views, records, status, notices, readers, standings),
        ClientRoutes(views, roster, readers, records.now()),
        fed,
    )
    for_browsers = (sign_in, PageRoutes(PageFiles.read()))
    others = None if passing is None else other_leaders(settings, passing, reactor)
    moved = Rewritten(rewritten(settings.network))
    published = SchedulerRoutes(terms, clients, servers, trusted, limits, reactor, readers, views, others, moved)
    scraped = ScrapeRoutes(metrics, settings.metrics.token, readers)
    own = OwnRoutes(account, readers, servers, browsers, lambda: reload.settings.queue, reactor, moved)
    mounted = Mounted if passing is None else partial(PassingRoutes, passing)
    routes = mounted(
        published,
        scraped,
        own,
        *for_all,
        *(for_browsers if settings.web.address is None else ()),
    )

    def expire() -> None:
        go_on(terms.current.expire())

    def go_on(is_more: bool) -> None:
        if is_more and service.running:
            reactor.callLater(EXPIRY_PAUSE_SECS, lambda: go_on(terms.current.expire_more()))

    office = None if passing is None else Office(election, own_url, terms, watching, passing, notices.tell, handover)

    async def send_away() -> None:
        end_at_once_when_told_again()
        if handover is not None:
            await handover.stop()
        if membership is not None:
            await membership.candidate.resign()
        if office is None:
            terms.stop()
        else:
            await office.stop()
        if membership is not None:
            await membership.stop()
        if others is not None:
            await others.close()

    service = RoleService(partial(_status, tenure, out_of_service, terms))
    site = Site(routes, reactor, without_browsers(settings), trusted, turns)
    pages = None
    watch_reloads(registry, reload)

    def port(site: Site) -> IProtocolFactory:
        return site if files is None else over_tls(files, site, reactor, turns)

    listen = listen or listening_with(reactor)
    if settings.web.address is not None:
        check_address("web.address", settings.web.address)
        pages = Site(mounted(*for_all, *for_browsers), reactor, of_browsers(settings), trusted, turns)
        Listener(settings.web.address, port(pages), listen).setServiceParent(service)
    watch(registry, "scheduler", site, partial(_expiry, files), reactor).setServiceParent(service)
    if settings.metrics.address is not None:
        unready = partial(_unready, service)
        monitor_port(settings.metrics.address, metrics.expose, unready, reactor, listen).setServiceParent(service)
    if settings.monitor.address is not None:
        shown = partial(MonitorEvents, lambda: records.settings, records.name_of, began)
        feed = MonitorFeed(views, shown, reactor)
        observers.append(feed)  # terms tell all that are in this list, also those that began before
        feed.service(settings.monitor.address, listen).setServiceParent(service)
    changing = SchedulerParts(
        terms=terms,
        site=site,
        pages=pages,
        routes=published,
        scraped=scraped,
        fed=fed,
        sign_in=sign_in,
        readers=readers,
        browsers=browsers,
        watching=watching,
        records=records,
        takers=takers,
        writer=writer,
        files=files,
        roster=roster,
        standings=standings,
    )
    reload.add(*changing.parts())
    if office is not None:
        reload.add(*office.parts())
    reload.add(*reloaded_secrets(signers, servers, terms, principals, sessions))
    for child in (
        writer,
        OnSignal("SIGHUP", writer.reopen, reactor),
        state,
        Listener(settings.public_addr, port(site), listen),
        PeriodicService(EXPIRY_SECS, expire, reactor),
        PeriodicService(STEP_SECS, watching.sample, reactor),
        AtStop(watching.stop),
        AtStop(send_away),
        AtStop(state.close),
        AtStop(inward.close),
        AtStop(outward.close),
    ):
        child.setServiceParent(service)
    if membership is not None:
        AtStart(membership.start).setServiceParent(service)
    if handover is not None:
        PeriodicService(TICK_SECS, handover.tick, reactor).setServiceParent(service)
        if office is None:
            AtStart(partial(_begun, handover, terms)).setServiceParent(service)
    if isinstance(signers, SignedClientTokens):  # so that a wrong jwks_url is in the log at once
        AtStart(signers.keys.fetch).setServiceParent(service)
    return service


async def _begun(handover: Handover, terms: Terms) -> None:
    """Tell the only term what the process before knew."""
    handover.begin(terms.current)


def _status(tenure: Tenure, out_of_service: OutOfService, terms: Terms) -> str:
    """How the scheduler is doing, in a line."""
    if not tenure.leads:
        return "another scheduler leads, or none"
    totals = terms.current.totals()
    jobs = sum(totals.phases.values())
    numbers = f"build servers: {totals.servers}, slots taken: {jobs} of {totals.slots}, waiting: {totals.waiting}"
    return f"paused; {numbers}" if out_of_service.pause else numbers


def _expiry(files: CertificateFiles | None) -> float | None:
    """When the certificate that is shown to peers expires."""
    return None if files is None else files.expires


def _unready(service: RoleService) -> str:
    """Why the scheduler is not ready for requests; empty if it is."""
    return "" if service.running else "it stops"


@attrs.frozen
class PinnedBuildServers:
    """Build servers, asked by the protocol, each with the certificate that the reservation names.

    :param pins: those that ``calls`` accept.
    """

    _calls: Calls
    _pins: Pins

    def observe(self, event: Event) -> None:
        """Forget the pin of a build server that has left."""
        if isinstance(event, ServerLeft):
            self._pins.forget(event.server_id)

    async def assign(self, reserved: Reservation, token: str, toolchain: Toolchain) -> AssignJobResult:
        """See :meth:`sccachedist.scheduler.allocation.BuildServers.assign`."""
        self._pins.set(reserved.server_id, reserved.cert_digest)
        octets = await self._calls.post(
            f"https://{reserved.server_id}/api/v1/distserver/assign_job/{reserved.job_id}",
            encode(TOOLCHAIN, toolchain),
            token=token,
            timeout=ASSIGN_SECS,
            limit=ASSIGN_ANSWER_BYTES,
        )
        return decoded(ASSIGN_JOB_RESULT, octets)
