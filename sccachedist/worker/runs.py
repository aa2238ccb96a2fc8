"""Runs a job whose inputs are here: its toolchain, its sandbox, and what is to be told of its end.

Which gateway wants to know is not known here.
"""

import time
from collections.abc import Callable
from pathlib import Path

import attrs

from sccachedist.builders.interface import Builder, BuildJob
from sccachedist.daemon.logs import Logger
from sccachedist.errors import SccachedistError
from sccachedist.outcomes import SentLocal
from sccachedist.toolchains.cache import Toolchains
from sccachedist.toolchains.fetching import Fetching
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.gateway import Built, NotBuilt, WorkerJob
from sccachedist.wire.usage import NO_USAGE, Usage

log = Logger()

#: The most characters of an error that a gateway is told: a client's log has room for no more.
MOST_TEXT = 4000


@attrs.define(eq=False)
class _Watch:
    """Takes the times of a job, and what it used."""

    _began: int = attrs.field(factory=time.monotonic_ns, init=False)
    toolchain_ns: int = 0
    usage: Usage = NO_USAGE

    def fetched(self) -> None:
        """The toolchain's archive has come."""
        self.toolchain_ns = time.monotonic_ns() - self._began

    unpacked = fetched

    def begun(self) -> None:
        """Do nothing: the gateway has waited for the place already."""

    def used(self, usage: Usage, toolchain_ns: int = 0) -> None:
        """Keep it."""
        self.usage = usage


class Runs:
    """Runs jobs.

    :param succeeded: called when a job has a result; ``failed`` with the error when it has none.
    :param took: called with the bytes of memory that a job had at most; 0 if that is not known.
    """

    def __init__(
        self,
        builder: Builder,
        toolchains: Toolchains,
        fetching: Fetching,
        succeeded: Callable[[], None],
        failed: Callable[[BaseException], None],
        took: Callable[[int], None],
    ) -> None:
        self._builder, self._toolchains, self._fetching = builder, toolchains, fetching
        self._succeeded, self._failed, self._took = succeeded, failed, took

    async def run(self, job: WorkerJob, inputs: Path) -> Built | NotBuilt:
        """Compile; with :class:`Built`, the file of the inputs has the result. Cancelling kills the job's processes."""
        watch = _Watch()
        try:
            toolchain = archive_id(job.toolchain)
            if toolchain not in self._toolchains:
                await self._fetching.fetch(toolchain)
                watch.fetched()
            async with self._toolchains.using(toolchain) as archive:
                await self._builder.run(
                    BuildJob(
                        job.job_id,
                        toolchain,
                        archive,
                        job.request,
                        inputs,
                        inputs,
                        job.as_json,
                        watch,
                        on_failure=job.on_failure,
                    )
                )
        except SccachedistError as error:
            self._failed(error)
            self._took(watch.usage.peak_memory_bytes)
            said = not_built(error, watch.usage, watch.toolchain_ns)
            log.info("job {job_id} has no result: {error}", job_id=job.job_id, error=str(error))
            return said
        self._succeeded()
        self._took(watch.usage.peak_memory_bytes)
        return Built(watch.usage, watch.toolchain_ns)


def not_built(error: SccachedistError, usage: Usage = NO_USAGE, toolchain_ns: int = 0) -> NotBuilt:
    """What a gateway is told of an error."""
    reason = error.sent_local or SentLocal.INCIDENT
    return NotBuilt(reason, error.kind, str(error)[:MOST_TEXT], usage, toolchain_ns)
