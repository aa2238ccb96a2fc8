"""Which parts of a running scheduler take which keys of the configuration, when it is read again.

A key that has its effect at once has a part here.
"""

from collections.abc import Callable, Iterator

import attrs

from sccachedist.auth.roster import Roster
from sccachedist.config import SchedulerLimits, SchedulerSettings
from sccachedist.daemon.logs import Logger
from sccachedist.daemon.reload import Commit, Part, PreparedPart
from sccachedist.records.line_writer import LineWriter
from sccachedist.records.ring import Entry
from sccachedist.scheduler.browsers import Browsers
from sccachedist.scheduler.farm_readers import FarmReaders
from sccachedist.scheduler.feed_routes import FeedRoutes
from sccachedist.scheduler.job_records import JobRecords
from sccachedist.scheduler.record_log import log_record
from sccachedist.scheduler.routes import SchedulerRoutes
from sccachedist.scheduler.scrape_routes import ScrapeRoutes
from sccachedist.scheduler.server_auth import rewritten
from sccachedist.scheduler.sign_in_routes import SignInRoutes
from sccachedist.scheduler.standings import Standings
from sccachedist.scheduler.term import Terms
from sccachedist.scheduler.watching import Watching
from sccachedist.web.request import Site
from sccachedist.web.tls import CertificateFiles

log = Logger()

#: The most names of a line in the log.
_MOST_NAMES = 10


@attrs.frozen
class RecordTakers:
    """What each record is given to.

    :param always: those that take records in any case.
    :ivar now: all that do.
    """

    _writer: LineWriter
    _always: tuple[Callable[[Entry], None], ...]
    now: list[Callable[[Entry], None]] = attrs.field(factory=list, init=False)

    def choose(self, settings: SchedulerSettings) -> None:
        """Let those that the settings ask for take records from now on."""
        self.now[:] = self._always
        self.now.extend([self._writer.take] * (settings.records.file is not None))
        self.now.extend([log_record] * settings.log.jobs)


@attrs.frozen
class SchedulerParts:
    """What of a scheduler takes other settings while it runs.

    :param site: the port of ``public_addr``; ``pages``: that of ``[web] address``, if there is one.
    """

    terms: Terms
    site: Site
    pages: Site | None
    routes: SchedulerRoutes
    scraped: ScrapeRoutes
    fed: FeedRoutes
    sign_in: SignInRoutes
    readers: FarmReaders
    browsers: Browsers
    watching: Watching
    records: JobRecords
    takers: RecordTakers
    writer: LineWriter
    files: CertificateFiles | None
    roster: Roster
    standings: Standings

    def parts(self) -> Iterator[Part[SchedulerSettings] | PreparedPart[SchedulerSettings]]:
        """All of them, with their keys."""
        yield Part(("clients.file", "clients.named"), self._take_clients)
        yield Part(("queue", "limits"), self._take_limits)
        yield Part(("policy",), self._take_policy)
        yield Part(("limits", "network.trusted_proxies", "web.viewers"), self._take_ports)
        yield Part(("network.servers_from",), self._take_rewritten)
        yield Part(("web",), self._take_web)
        yield Part(("metrics.token",), self._take_metrics)
        yield Part(("records.file", "records.rotate_bytes", "records.keep_files"), self._take_file)
        yield Part(("records", "log.jobs"), self._take_records)
        if self.files is not None:
            yield PreparedPart(("tls",), self._read_certificate, is_always=True)

    def _take_clients(self, settings: SchedulerSettings) -> None:
        before = self.roster.names_with_tokens
        self.roster.replace(settings.clients.named)
        if gone := sorted(before - self.roster.names_with_tokens):
            more = f" and {len(gone) - _MOST_NAMES} more" if len(gone) > _MOST_NAMES else ""
            form = "clients.file: no token is left of {names}{more}, whose builds fail with a 401 now"
            log.warn(form, names=", ".join(gone[:_MOST_NAMES]), more=more)
        self.standings.replace(settings.clients.named)
        self.terms.current.renew_standings()

    def _take_limits(self, settings: SchedulerSettings) -> None:
        self.terms.current.take_limits(settings.queue, settings.limits)
        self.routes.take_limits(settings.limits)

    def _take_policy(self, settings: SchedulerSettings) -> None:
        self.terms.current.place_by(settings.policy.placement)

    def _take_ports(self, settings: SchedulerSettings) -> None:
        trusted = settings.network.trusted_proxies
        self.routes.proxies = self.browsers.proxies = trusted
        self.site.take_limits(without_browsers(settings), trusted)
        if self.pages is not None:
            self.pages.take_limits(of_browsers(settings), trusted)

    def _take_web(self, settings: SchedulerSettings) -> None:
        self.readers.web = self.sign_in.web = settings.web
        self.fed.names, self.watching.places = settings.web.names, settings.web.viewers
        self.browsers.user_header = settings.web.user_header

    def _take_rewritten(self, settings: SchedulerSettings) -> None:
        self.routes.rewritten.networks = rewritten(settings.network)

    def _take_metrics(self, settings: SchedulerSettings) -> None:
        self.scraped.token = settings.metrics.token

    def _take_file(self, settings: SchedulerSettings) -> None:
        self.writer.use(settings.records)

    def _take_records(self, settings: SchedulerSettings) -> None:
        self.takers.choose(settings)
        self.records.take_settings(settings.records)

    def _read_certificate(self, settings: SchedulerSettings) -> Commit:
        assert self.files is not None
        assert settings.tls is not None  # to begin with TLS, or to end it, needs a restart
        return self.files.read_again(settings.tls.certificate, settings.tls.private_key)


def of_browsers(settings: SchedulerSettings) -> SchedulerLimits:
    """The limits of the port of ``[web] address``: browsers open a few connections for each page."""
    most = settings.limits.connections
    return attrs.evolve(settings.limits, connections=max(1, min(most // 2, 4 * settings.web.viewers + 100)))


def without_browsers(settings: SchedulerSettings) -> SchedulerLimits:
    """Those of ``public_addr``: both ports together have no more connections than one may have."""
    if settings.web.address is None:
        return settings.limits
    most = settings.limits.connections - of_browsers(settings).connections
    return attrs.evolve(settings.limits, connections=max(1, most))
