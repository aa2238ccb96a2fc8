"""Puts together what a build server shares toolchains with: where it fetches them from, and how it gives its own.

Only this module knows those parts; what they do is not known here.
"""

from collections.abc import Callable
from typing import Any

from sccachedist.config import ServerSettings
from sccachedist.daemon.periodic import PeriodicService
from sccachedist.metrics.registry import Registry
from sccachedist.objects.store import object_store
from sccachedist.peers.pins import Pins
from sccachedist.peers.streams import pinned_streams
from sccachedist.server.farm_source import FarmSource, nowhere
from sccachedist.server.lending import LendingRoutes
from sccachedist.server.scheduler_session import HttpSchedulerSession
from sccachedist.server.store_source import CHECK_SECS, StoreSource
from sccachedist.server.tls import ShownIdentity
from sccachedist.server.warming import Warming
from sccachedist.toolchains.cache import Toolchains
from sccachedist.toolchains.fetching import Fetching, ToolchainSource
from sccachedist.wire.abilities import ObjectStoreFacts
from sccachedist.wire.archive_id import ArchiveId


class Sharing:
    """The toolchains of others, and this server's for others.

    :param settings: at the start.
    :param limit: returns how many bytes an archive may have.
    :param scheduler_time: returns the time by the scheduler's clock, if that is known.
    :ivar fetching: fetches toolchains.
    :ivar warming: fetches some in advance.
    :ivar lending: the routes by which others fetch, if they may.
    :raises ConfigError: the object store cannot be used as it is configured.
    """

    def __init__(
        self,
        reactor: Any,
        settings: ServerSettings,
        toolchains: Toolchains,
        link: HttpSchedulerSession,
        identity: ShownIdentity,
        limit: Callable[[], int],
        scheduler_time: Callable[[], float | None],
    ) -> None:
        pins, sources = Pins(), list[ToolchainSource]()
        self._streams = pinned_streams(reactor, pins, float("inf"))
        self.lending: list[LendingRoutes] = []
        self._store: StoreSource | None = None
        if (objects := object_store(settings.toolchains, reactor)) is not None:
            self._store = StoreSource(objects, toolchains, lambda toolchain: self.fetching.begin(toolchain), reactor)
            toolchains.brought = self._store.keep
        if settings.toolchains.share:
            is_elsewhere = nowhere if self._store is None else self._store.is_there
            sources.append(FarmSource(link.holders, self._streams, pins, limit, reactor, is_elsewhere=is_elsewhere))
            self.lending.append(LendingRoutes(toolchains, identity, scheduler_time))
        if self._store is not None:
            sources.append(self._store)
        self.fetching = Fetching(toolchains, sources)
        toolchains.look_for = self.fetching.begin
        prewarm = settings.toolchains.prewarm if sources else 0
        self.warming = Warming(link.popular, self.fetching, prewarm, settings.toolchain_cache_size // 2, reactor)

    @property
    def store(self) -> ObjectStoreFacts | None:
        """What is told of the object store; None without one."""
        return None if self._store is None else self._store.facts

    async def warm(self) -> None:
        """Look whether the object store works, and fetch toolchains in advance."""
        if self._store is not None:
            self._store.check()
        await self.warming.warm()

    async def is_stored(self, toolchain: ArchiveId) -> bool:
        """Whether the object store has a toolchain; then it is on its way."""
        return self._store is not None and await self._store.has(toolchain)

    def checks(self, reactor: Any) -> list[PeriodicService]:
        """What looks whether the object store works, now and then."""
        return [] if self._store is None else [PeriodicService(CHECK_SECS, self._store.check, reactor)]

    def count(self, registry: Registry) -> None:
        """Have the metrics tell how much was fetched and lent."""
        at = "sccachedist_server_toolchain_"
        registry.read(f"{at}fetches_total", lambda: self.fetching.results)
        registry.read(f"{at}fetched_bytes_total", lambda: self.fetching.bytes)
        registry.read(f"{at}loans_total", lambda: self.lending[0].lent if self.lending else {})
        registry.read(f"{at}keeps_total", lambda: {} if self._store is None else self._store.results)

    async def close(self) -> None:
        """End all fetches, and close kept connections."""
        await self.fetching.stop()
        await self._streams.close()
        if self._store is not None:
            await self._store.close()
