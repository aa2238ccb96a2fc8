"""The gateways as a source of toolchains: one that has given a job has the job's toolchain.

What one of them sends is used only if it is the toolchain, and has to come at a pace: no gateway holds up the jobs of
the others.
"""

from collections.abc import Callable, Iterable
from functools import partial

import attrs
from twisted.internet.interfaces import IReactorTime

from sccachedist.errors import LimitExceeded, PeerError, ToolchainError
from sccachedist.toolchains.fetching import Sink, Take
from sccachedist.toolchains.pace import paced
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.worker.session import GatewaySession

#: The word for it in metrics and logs.
SOURCE = "gateway"


@attrs.frozen
class GatewaySource:
    """A source of toolchains.

    :param sessions: returns those that last.
    """

    _sessions: Callable[[], Iterable[GatewaySession]]
    _clock: IReactorTime

    @property
    def name(self) -> str:
        """See :class:`~sccachedist.toolchains.fetching.Source`."""
        return SOURCE

    async def fetch(self, toolchain: ArchiveId, take: Take) -> None:
        """See :class:`~sccachedist.toolchains.fetching.Source`."""
        reasons = []
        for session in tuple(self._sessions()):
            try:
                await take(partial(self._bring, session, toolchain))
            except (PeerError, ToolchainError, LimitExceeded) as error:
                reasons.append(f"{session.url}: {error}")
            else:
                return
        raise PeerError("; ".join(reasons) or "no gateway is connected")

    async def _bring(self, session: GatewaySession, toolchain: ArchiveId, sink: Sink) -> None:
        await session.toolchain(toolchain, paced(sink, self._clock))
