"""Where the values of a build server's series come from."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from sccachedist.builders.worker_pool import Workers
from sccachedist.daemon.logs import Logger
from sccachedist.disks import free_bytes
from sccachedist.metrics.registry import Registry
from sccachedist.server.heartbeat import HeartbeatService
from sccachedist.server.jobs import ServerCore
from sccachedist.server.toolchain_cache import Toolchains
from sccachedist.web.responses import Response

log = Logger()

#: Seconds between two looks at the room on the disks.
DISK_SECS = 10.0


class ServerMetrics:
    """The metrics of a build server.

    :param registry: of all its series; those of both roles and of jobs that are over get their values elsewhere.
    :param workers: returns the pool of sandbox workers.
    :param directories: whose disks' room is shown, by their names in the configuration without ``_dir``.
    :param in_thread: runs a function that blocks.
    :param began: the time in seconds since 1970 when the reactor's clock was 0.
    """

    def __init__(
        self,
        registry: Registry,
        core: ServerCore,
        heartbeat: HeartbeatService,
        toolchains: Toolchains,
        workers: Callable[[], Workers],
        cache_size: int,
        directories: Mapping[str, Path],
        in_thread: Callable[..., Awaitable[Any]],
        began: float,
    ) -> None:
        self._registry, self._directories, self._in_thread = registry, directories, in_thread
        self._free: dict[str, int] = {}
        self._looking = False
        read, at = registry.read, "sccachedist_server_"
        read(f"{at}jobs", lambda: {phase.name.lower(): count for phase, count in core.phases.items()})
        read(f"{at}slots", lambda: core.slots)
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
        read(f"{at}workers", lambda: dict(zip(("idle", "busy"), workers().counts, strict=True)))
        read(f"{at}worker_starts_total", lambda: workers().started)
        read(f"{at}worker_deaths_total", lambda: workers().died)
        read(f"{at}disk_free_bytes", lambda: self._free)

    async def expose(self, accept: str) -> Response:
        """All series.

        :param accept: what the reader accepts.
        """
        media_type, text = self._registry.exposition(accept)
        return Response(200, (("Content-Type", media_type),), text)

    def look_at_disks(self) -> None:
        """See how much room there is. In a thread, and one look at a time: a disk may not answer for minutes.

        What was seen stays until then, so that no scrape misses it; if a look takes until the next, it is not known.
        """
        if self._looking:
            self._free.clear()
        else:
            self._looking = True
            looking = Deferred.fromCoroutine(self._look())
            looking.addErrback(lambda failure: log.failure("the room on the disks is not known", failure))

    async def _look(self) -> None:
        try:
            for name, directory in self._directories.items():
                free = await self._in_thread(free_bytes, directory)
                if free is None:
                    self._free.pop(name, None)
                else:
                    self._free[name] = free
        finally:
            self._looking = False
