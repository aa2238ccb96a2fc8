"""Where the values of a build server's series come from."""

from collections.abc import Callable, Mapping

from sccachedist.builders.worker_pool import Workers
from sccachedist.metrics.registry import Reading, Registry
from sccachedist.server.heartbeat import HeartbeatService
from sccachedist.server.jobs import ServerCore
from sccachedist.toolchains.cache import Toolchains
from sccachedist.web.responses import Response


class ServerMetrics:
    """The metrics of a build server.

    :param registry: of all its series; those of both roles and of jobs that are over get their values elsewhere.
    :param workers: returns the pool of sandbox workers; None at a gateway.
    :param free: the free bytes where each directory lies, by its name in the configuration without ``_dir``.
    :param began: the time in seconds since 1970 when the reactor's clock was 0.
    """

    def __init__(
        self,
        registry: Registry,
        core: ServerCore,
        heartbeat: HeartbeatService,
        toolchains: Toolchains,
        workers: Callable[[], Workers] | None,
        cache_size: int,
        free: Mapping[str, int],
        began: float,
    ) -> None:
        self._registry = registry
        read, at = registry.read, "sccachedist_server_"
        read(f"{at}jobs", lambda: {phase.name.lower(): count for phase, count in core.phases.items()})
        read(f"{at}slots", lambda: core.slots_for_now)
        read(f"{at}state", lambda: {core.state: 1})
        read(f"{at}registered", lambda: int(heartbeat.is_registered))
        read(f"{at}heartbeats_total", lambda: heartbeat.results)
        read(
            f"{at}last_heartbeat_timestamp_seconds",
            lambda: None if heartbeat.taken_at is None else began + heartbeat.taken_at,
        )
        read(f"{at}toolchains", lambda: len(toolchains))
        read(f"{at}toolchain_cache_bytes", lambda: toolchains.size)
        read(f"{at}toolchain_cache_max_bytes", lambda: cache_size)
        read(
            f"{at}toolchain_requests_total",
            lambda: {"present": core.arrived[True], "missing": core.arrived[False]},
        )
        read(f"{at}toolchain_uploads_total", lambda: toolchains.uploaded)
        read(f"{at}toolchain_evictions_total", lambda: toolchains.removed)

        def of_workers(look: Callable[[Workers], Reading]) -> Callable[[], Reading]:
            return lambda: None if workers is None else look(workers())

        read(f"{at}workers", of_workers(lambda pool: dict(zip(("idle", "busy"), pool.counts, strict=True))))
        read(f"{at}worker_starts_total", of_workers(lambda pool: pool.started))
        read(f"{at}worker_deaths_total", of_workers(lambda pool: pool.died))
        read(f"{at}disk_free_bytes", lambda: free)

    async def expose(self, accept: str) -> Response:
        """All series.

        :param accept: what the reader accepts.
        """
        media_type, text = self._registry.exposition(accept)
        return Response(200, (("Content-Type", media_type),), text)
