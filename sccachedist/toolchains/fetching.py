"""Fetches toolchains from elsewhere, so that no client has to bring what the farm has.

A source knows where an archive may lie and how its bytes come; here it is decided that each toolchain is fetched once,
how many at a time, and from which source next if one fails. The bytes go the way of an upload
(:mod:`sccachedist.toolchains.uploads`): what a source gives is used only if its digest is its name, and a client that
brings the same meanwhile loses nothing. Which sources there are, and who needs a toolchain, is not known here.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.python.failure import Failure

from sccachedist.budgets import Party
from sccachedist.daemon.logs import Logger
from sccachedist.errors import SccachedistError, ToolchainError
from sccachedist.singleflight import SingleFlight
from sccachedist.toolchains.cache import Toolchains
from sccachedist.toolchains.uploads import Upload
from sccachedist.wire.archive_id import ArchiveId

log = Logger()

#: How many toolchains are fetched at a time.
MOST_FETCHES = 4
#: Is charged for what arrives.
_PARTY = Party("fetches")

Sink = Callable[[bytes], None]
#: Gives an archive's bytes to a sink, in order, up to the end; raises a PeerError if it cannot.
Bring = Callable[[Sink], Awaitable[None]]
#: Stores what is brought, and raises a ToolchainError if it is another archive.
Take = Callable[[Bring], Awaitable[None]]


class ToolchainSource(Protocol):
    """Where toolchains may be found."""

    @property
    def name(self) -> str:
        """The word for it in metrics and logs."""

    async def fetch(self, toolchain: ArchiveId, take: Take) -> None:
        """Find a toolchain and let it be taken. After a try that failed, it may be taken from somewhere else.

        :raises PeerError: it is nowhere, or cannot be had.
        :raises ToolchainError: what is there is another archive, or there is no room for it.
        """


class NoLongerWanted(SccachedistError):
    """The toolchain came from elsewhere while it was fetched."""


class Fetching:
    """Fetches toolchains.

    :param sources: are asked in this order.
    """

    def __init__(self, toolchains: Toolchains, sources: Sequence[ToolchainSource]) -> None:
        self._toolchains, self._sources = toolchains, sources
        self._work: SingleFlight[ArchiveId] = SingleFlight()
        self._places = DeferredSemaphore(MOST_FETCHES)
        self._running: set[Deferred[None]] = set()
        self._is_over = False
        #: Fetches by source and what became of them: fetched, failed, or not_wanted any more.
        self.results: Counter[tuple[str, str]] = Counter()
        #: Bytes that came, by source.
        self.bytes: Counter[str] = Counter()

    def begin(self, toolchain: ArchiveId) -> None:
        """Fetch a toolchain in the background, unless it is here or on its way; jobs may wait for it at once."""
        if self._sources and toolchain not in self._work and not self._toolchains.is_arriving(toolchain):
            Deferred.fromCoroutine(self.fetch(toolchain)).addErrback(_not_fetched, toolchain)

    async def fetch(self, toolchain: ArchiveId) -> None:
        """Fetch a toolchain, or wait for the fetch that is under way; one that is here needs none.

        :raises ToolchainError: no source has it.
        """
        if toolchain not in self._toolchains:
            await self._work.do(toolchain, lambda: self._run(toolchain))

    async def stop(self) -> None:
        """End all fetches, and begin no more."""
        self._is_over = True
        for running in tuple(self._running):
            running.cancel()

    async def _run(self, toolchain: ArchiveId) -> None:
        if self._is_over:
            raise ToolchainError(f"toolchain {toolchain} is not fetched: this daemon stops")
        running = self._places.run(lambda: Deferred.fromCoroutine(self._from_any(toolchain)))
        self._running.add(running)
        try:
            with self._toolchains.expecting(toolchain):
                await running
        finally:
            self._running.discard(running)

    async def _from_any(self, toolchain: ArchiveId) -> None:
        reasons = []
        for source in self._sources:
            if toolchain in self._toolchains:
                return
            try:
                await source.fetch(toolchain, partial(self._take, toolchain, source.name))
            except NoLongerWanted:
                self.results[source.name, "not_wanted"] += 1
                return
            except SccachedistError as error:
                self.results[source.name, "failed"] += 1
                reasons.append(f"{source.name}: {error}")
            else:
                self.results[source.name, "fetched"] += 1
                return
        raise ToolchainError(f"toolchain {toolchain} cannot be fetched ({'; '.join(reasons)})")

    async def _take(self, toolchain: ArchiveId, source: str, bring: Bring) -> None:
        upload: Upload | None = None

        def sink(octets: bytes) -> None:
            nonlocal upload
            upload = upload or self._toolchains.receive(toolchain, _PARTY)  # not before: a source may be busy
            if upload.incoming.is_over:
                raise NoLongerWanted("it is here by now")
            self.bytes[source] += len(octets)
            upload.write(octets)

        try:
            await bring(sink)
            if upload is None:
                raise ToolchainError("what came is empty")
            await self._toolchains.add(upload.complete())
        finally:
            if upload is not None:
                upload.abort()


def _not_fetched(failure: Failure, toolchain: ArchiveId) -> None:
    if failure.check(SccachedistError):
        log.info("{error}", error=str(failure.value))
    elif not failure.check(CancelledError):
        log.failure("toolchain {toolchain} is not fetched", failure, toolchain=toolchain)
