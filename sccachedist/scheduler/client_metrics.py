"""Where the values of the series of clients with names come from. Only names of the clients' file become labels."""

from collections.abc import Callable

from sccachedist.auth.roster import Roster
from sccachedist.config.clients import DEFAULT
from sccachedist.metrics.registry import Registry
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
        term = terms.current
        found: dict[str, float] = {name: term.waiting_of(name) for name in roster.names}
        return {**found, DEFAULT: term.totals().waiting - sum(found.values())}

    at = "sccachedist_scheduler_client"
    registry.read(f"{at}_slots", slots)
    registry.read(f"{at}_waiting", waiting)
    registry.read(f"{at}_token_expiry_timestamp_seconds", lambda: roster.ends(now()))
