"""Where the values of the series of several schedulers come from. A scheduler alone leads, and has asked no store."""

from sccachedist.cluster.candidate_service import CandidateService
from sccachedist.cluster.leader_search import LeaderSearch
from sccachedist.metrics.registry import Registry
from sccachedist.scheduler.tenure import Tenure


def watch_election(
    registry: Registry, tenure: Tenure, candidate: CandidateService | None, search: LeaderSearch | None
) -> None:
    """Give these series their values.

    :param candidate: asks the store of the lock.
    :param search: passes on requests.
    """
    at = "sccachedist_scheduler_"
    registry.read(f"{at}leads", lambda: int(tenure.leads))
    registry.read(f"{at}terms_total", lambda: tenure.terms)
    registry.read(f"{at}lock_unanswered_total", lambda: candidate.unanswered if candidate else 0)
    registry.read(f"{at}passed_on_total", lambda: search.outcomes if search else {})
