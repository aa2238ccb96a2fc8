"""How a scheduler that is one of several takes office and leaves it, and which of its routes go on to the leader.

:mod:`sccachedist.cluster` knows who leads and how a request goes on.
"""

from collections.abc import Callable, Iterator
from typing import Any

from sccachedist.cluster.hop import Hop
from sccachedist.cluster.leader_calls import LeaderCalls
from sccachedist.cluster.leader_search import PATIENCE_SECS, LeaderSearch
from sccachedist.cluster.leadership import Candidate, Election, Following, Leadership, Leading
from sccachedist.cluster.other_leaders import OtherLeaders
from sccachedist.cluster.passing import Passing, Rule
from sccachedist.config import ClusterSettings, SchedulerSettings
from sccachedist.config.cluster import own_url
from sccachedist.daemon.reload import Part
from sccachedist.scheduler.handover import Handover
from sccachedist.scheduler.membership import Membership
from sccachedist.scheduler.notices import Kind
from sccachedist.scheduler.own_routes import OwnRoutes
from sccachedist.scheduler.page_routes import PageRoutes
from sccachedist.scheduler.scrape_routes import ScrapeRoutes
from sccachedist.scheduler.sign_in_routes import SignInRoutes
from sccachedist.scheduler.term import Terms
from sccachedist.scheduler.watching import Watching

#: Routes whose requests may be repeated although they change something: a second slot lapses, heartbeats and reports of
#: states are numbered or say where a job stands.
RULES = {
    "alloc_job": Rule(may_repeat=True, waits=True, proves=True),
    "heartbeat_server": Rule("heartbeat_bytes", may_repeat=True, proves=True),
    "job_states": Rule("heartbeat_bytes", may_repeat=True, proves=True),
    "job_state": Rule(may_repeat=True, proves=True),
    "toolchain_holders": Rule(proves=True),
    "popular_toolchains": Rule(proves=True),
}
#: Routes that each scheduler answers itself: they know of no build server and no job.
HERE = frozenset((*ScrapeRoutes.api.names, *SignInRoutes.api.names, *PageRoutes.api.names, *OwnRoutes.api.names))
#: What stands for the address of a scheduler in sessions of browsers: they are good at all of them.
PLACE = "any of several"


def url_of(settings: SchedulerSettings) -> str:
    """The URL by which other schedulers know this one."""
    if settings.cluster is not None and settings.cluster.address is not None:
        return settings.cluster.address
    return own_url(settings.public_addr, has_tls=settings.tls is not None)


def number_of(settings: SchedulerSettings) -> int:
    """How many schedulers the farm has."""
    return 1 if settings.cluster is None else len(settings.cluster.schedulers)


def passing_on(election: Election, settings: SchedulerSettings, reactor: Any, membership: Membership | None) -> Passing:
    """What passes on requests while another scheduler leads.

    :param membership: hears of the others; None if this scheduler is alone.
    """
    calls = LeaderCalls(reactor)
    if membership is None or settings.cluster is None:
        search = LeaderSearch(election, calls, reactor)
    else:
        search = LeaderSearch(election, calls, reactor, membership.silent_secs, longest_election(settings.cluster))
    return Passing(
        search,
        Hop(settings.tls is not None, settings.network.trusted_proxies, settings.web.user_header),
        RULES,
        HERE,
        settings.limits,
        _wait_secs(settings),
    )


def longest_election(cluster: ClusterSettings) -> float:
    """Seconds within which another scheduler leads after the loss of a leader, also if the store went with it."""
    return max(PATIENCE_SECS, cluster.ttl_secs * (len(cluster.schedulers) + 3))


def other_leaders(settings: SchedulerSettings, passing: Passing, reactor: Any) -> OtherLeaders:
    """What the other schedulers hear if they lead, too."""
    schedulers = () if settings.cluster is None else settings.cluster.schedulers
    own = url_of(settings)
    return OtherLeaders([url for url in schedulers if url != own], LeaderCalls(reactor), passing.hop, reactor)


class Office:
    """Leads while the election says so: begins a term then, and ends it when another scheduler leads.

    :param url: by which the others know this scheduler.
    :param tell: told who leads, and whom that is about.
    :param handover: tells a term what the one before knew; None if nothing is kept.
    """

    def __init__(
        self,
        election: Election,
        url: str,
        terms: Terms,
        watching: Watching,
        passing: Passing,
        tell: Callable[[Kind, str, str], None],
        handover: Handover | None,
    ) -> None:
        self._handover = handover
        self._url, self._terms, self._watching, self._passing, self._tell = url, terms, watching, passing, tell
        self._last = election.current
        election.observe(self._changed)

    def parts(self) -> Iterator[Part[SchedulerSettings]]:
        """What takes other settings while the scheduler runs."""
        yield Part(("limits", "queue", "network.trusted_proxies", "web.user_header"), self._take_settings)

    async def stop(self) -> None:
        """Leave office because the scheduler stops: what waits goes on to the next leader, if there is one in time."""
        self._passing.search.leave()
        self._terms.resign()
        await self._passing.search.stop()

    def _changed(self, leadership: Leadership) -> None:
        last, self._last = self._last, leadership
        if isinstance(leadership, Leading):
            if leadership != last:  # also if another one led in between
                self._terms.renew()
                if self._handover is not None:
                    self._handover.begin(self._terms.current)
        elif isinstance(last, Leading):
            self._terms.resign()
            if self._handover is not None:
                self._handover.end()
            self._watching.send_away()
        self._passing.search.changed()
        match leadership:
            case Leading(number=number):
                self._tell("leader", self._url, f"it leads, as number {number}")
            case Following(leader=Candidate(url=url)):
                self._tell("leader", url, "it leads, says the scheduler that tells this, and follows it")

    def _take_settings(self, settings: SchedulerSettings) -> None:
        hop = self._passing.hop
        hop.proxies, hop.user_header = settings.network.trusted_proxies, settings.web.user_header
        self._passing.take_limits(settings.limits, _wait_secs(settings))


def _wait_secs(settings: SchedulerSettings) -> float:
    """How long a request may wait for a slot."""
    return max(settings.queue.max_wait_secs, settings.queue.settle_secs)
