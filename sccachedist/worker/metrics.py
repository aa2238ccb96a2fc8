"""Where the values of a worker's series come from."""

import platform
from collections import Counter
from collections.abc import Callable, Mapping

import twisted
from sccachedist import __version__
from sccachedist.builders.worker_pool import Workers
from sccachedist.daemon.logs import logged
from sccachedist.metrics.registry import Registry
from sccachedist.toolchains.cache import Toolchains
from sccachedist.toolchains.fetching import Fetching
from sccachedist.web.responses import Response
from sccachedist.worker.dialling import Diallers
from sccachedist.worker.gateway_source import SOURCE
from sccachedist.worker.openness import WorkerOpenness
from sccachedist.worker.session import Desk
from sccachedist.worker.slots import PlaceState


class WorkerMetrics:
    """The metrics of a worker.

    :param registry: of all its series; those of a reload and of the reactor's lag get their values elsewhere.
    :param workers: returns the pool of sandbox workers.
    :param free: the free bytes where each directory lies, by its name in the configuration without ``_dir``.
    :param ended: how many jobs have ended, by the word for it.
    """

    def __init__(
        self,
        registry: Registry,
        desk: Desk,
        openness: WorkerOpenness,
        diallers: Diallers,
        toolchains: Toolchains,
        fetching: Fetching,
        workers: Callable[[], Workers],
        free: Mapping[str, int],
        ended: Counter[str],
    ) -> None:
        self._registry = registry
        read, at = registry.read, "sccachedist_worker_"
        info = ("worker", __version__, platform.python_version(), twisted.__version__)
        states = (PlaceState.RUNNING, PlaceState.ANSWERING)
        read("sccachedist_build_info", lambda: {info: 1.0})
        read("sccachedist_log_events_total", lambda: logged)
        read(f"{at}state", lambda: {openness.state: 1})
        read(
            f"{at}gateways",
            lambda: {"connected": len(desk.sessions), "away": diallers.dialled - len(desk.sessions)},
        )
        read(f"{at}slots", lambda: desk.slots.most_for_now)
        read(f"{at}jobs", lambda: {state.value: desk.slots.counts[state] for state in states})
        read(f"{at}jobs_ended_total", lambda: ended)
        read(f"{at}toolchains", lambda: len(toolchains))
        read(f"{at}toolchain_cache_bytes", lambda: toolchains.size)
        read(
            f"{at}toolchain_fetches_total",
            lambda: {result: count for (source, result), count in fetching.results.items() if source == SOURCE},
        )
        read(f"{at}fetched_bytes_total", lambda: fetching.bytes[SOURCE])
        read(f"{at}sandboxes", lambda: dict(zip(("idle", "busy"), workers().counts, strict=True)))
        read(f"{at}sandbox_starts_total", lambda: workers().started)
        read(f"{at}sandbox_deaths_total", lambda: workers().died)
        read(f"{at}disk_free_bytes", lambda: free)

    async def expose(self, accept: str) -> Response:
        """All series.

        :param accept: what the reader accepts.
        """
        media_type, text = self._registry.exposition(accept)
        return Response(200, (("Content-Type", media_type),), text)
