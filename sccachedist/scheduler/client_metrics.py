"""Where the values of the series of clients with names come from. Only names of the clients' file become labels."""

from collections.abc import Callable

from sccachedist.auth.roster import Roster
from sccachedist.config.clients import DEFAULT
from sccachedist.metrics.registry import Registry
from sccachedist.scheduler.named_clients import waiting_by_client
from sccachedist.scheduler.term import Terms


def watch_clients(registry: Registry, roster: Roster, terms: Terms, now: Callable[[], float]) -> None:
    """Have a scheduler's registry show them.

    :param now: seconds since 1970.
    """

    def slots() -> dict[str, float]:
        term = terms.current
        found: dict[str, float] = {name: term.held(name) for name in roster.names}
        return {**found, DEFAULT: sum(term.totals().phases.values()) - sum(found.values())}

    def waiting() -> dict[str, float]:
        found = waiting_by_client(terms.current.waiting, roster.client_of)
        return {name: found[name] for name in (*roster.names, DEFAULT)}

    at = "sccachedist_scheduler_client"
    registry.read(f"{at}_slots", slots)
    registry.read(f"{at}_waiting", waiting)
    registry.read(f"{at}_token_expiry_timestamp_seconds", lambda: roster.ends(now()))
