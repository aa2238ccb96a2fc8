"""Where the values of a gateway's series come from. At other build servers these have none."""

from collections.abc import Callable

from sccachedist.gateway.dispatch import Dispatch
from sccachedist.metrics.registry import Reading, Registry


def read_workers(registry: Registry, dispatch: Dispatch | None) -> None:
    """Have the series of a gateway tell what it knows of its workers.

    :param dispatch: None at a build server that is no gateway.
    """

    def read(name: str, look: Callable[[Dispatch], Reading]) -> None:
        registry.read(f"sccachedist_gateway_{name}", lambda: None if dispatch is None else look(dispatch))

    read("workers", lambda known: known.workers)
    read("cpus", lambda known: known.cpus)
    read("jobs", lambda known: {"waiting": known.waiting, "given": known.given})
    read("jobs_moved_total", lambda known: known.moved)
