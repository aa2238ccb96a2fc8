"""The builder of a gateway: it has its jobs run by workers that have dialled in.

Toolchains and inputs stay with the build server: a worker fetches what it needs. Who the workers are is not known here.
"""

from collections.abc import Callable
from pathlib import Path

from sccachedist.builders.interface import BuildJob
from sccachedist.builders.machines import Machines
from sccachedist.config import ServerLimits
from sccachedist.errors import BuildError, ForeignToolchain
from sccachedist.gateway.worker_sessions import WorkerSessions
from sccachedist.outcomes import SentLocal
from sccachedist.policy import OnFailure
from sccachedist.wire.abilities import MOST_MACHINES, Abilities, GatewayFacts
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.machines import NUMBERS, UNKNOWN


class _Unfollowed:
    """An upload that is of interest only when it is whole."""

    def received(self, size: int) -> None:
        """Ignore it."""

    def verified(self, size: int) -> None:
        """Ignore it."""

    def aborted(self) -> None:
        """Ignore it."""


class RemoteBuilder:
    """Has compiles run by workers.

    :param on_failure: which failed compiles the clients have to repeat.
    :param machine_of: returns which machine a toolchain needs, as far as that is known.
    """

    def __init__(self, sessions: WorkerSessions, on_failure: OnFailure, machine_of: Callable[[ArchiveId], int]) -> None:
        self._sessions, self._on_failure, self._machine_of = sessions, on_failure, machine_of
        #: Is told which machine a toolchain needs when a worker has refused to run it.
        self.machines = Machines()

    @property
    def cpus(self) -> int:
        """The CPUs of all workers; 1 if there are none, for a scheduler refuses fewer."""
        return max(1, self._sessions.cpus)

    @property
    def is_resting(self) -> bool:
        """Whether workers stay connected of which none takes jobs for now: nothing is wrong here."""
        return self._sessions.is_resting

    def abilities(self, labels: tuple[str, ...]) -> Abilities:
        """What sets this gateway apart from other build servers.

        :param labels: its own.
        """
        known = self._sessions.dispatch
        here = GatewayFacts(known.workers, known.cpus)
        return Abilities(machines=known.machines[:MOST_MACHINES], labels=labels, gateway=here)

    async def start(self) -> None:
        """Wait for the first worker: before, no scheduler hears of a gateway. A published one reads its CPUs once."""
        await self._sessions.first()

    async def prove(self) -> None:
        """See :meth:`sccachedist.builders.interface.Builder.prove`."""
        if lack := self.complaint():
            raise BuildError(SentLocal.NO_WORKER, lack)

    def complaint(self) -> str:
        """See :meth:`sccachedist.builders.interface.Builder.complaint`."""
        return "" if self.is_resting else self._sessions.complaint

    def follow(self, toolchain: ArchiveId, archive: Path) -> _Unfollowed:
        """See :meth:`sccachedist.builders.interface.Builder.follow`."""
        return _Unfollowed()

    async def run(self, job: BuildJob) -> None:
        """See :meth:`sccachedist.builders.interface.Builder.run`."""
        try:
            await self._sessions.run(job, self._on_failure, self._machine_of(job.toolchain))
        except ForeignToolchain as error:
            self.machines.unpacked(job.toolchain, NUMBERS.get(error.kind, UNKNOWN))
            raise

    async def discard(self, toolchain: ArchiveId) -> None:
        """Workers remove what they do not need by themselves."""

    async def stop(self) -> None:
        """See :meth:`sccachedist.builders.interface.Builder.stop`."""
        self._sessions.stop()

    def take_policy(self, limits: ServerLimits, on_failure: OnFailure) -> None:
        """Let other limits and another policy hold for jobs from now on."""
        self._sessions.dispatch.job_secs, self._on_failure = limits.job_secs, on_failure

    def take_tokens(self, tokens: tuple[str, ...]) -> None:
        """Let in workers with these tokens only."""
        self._sessions.take_tokens(tokens)
