"""The gateways as a source of toolchains: one that has given a job has the job's toolchain."""

from collections.abc import Callable, Iterable
from functools import partial

import attrs

from sccachedist.errors import PeerError
from sccachedist.toolchains.fetching import Take
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

    @property
    def name(self) -> str:
        """See :class:`~sccachedist.toolchains.fetching.Source`."""
        return SOURCE

    async def fetch(self, toolchain: ArchiveId, take: Take) -> None:
        """See :class:`~sccachedist.toolchains.fetching.Source`."""
        reasons = []
        for session in tuple(self._sessions()):
            try:
                await take(partial(session.toolchain, toolchain))
            except PeerError as error:
                reasons.append(str(error))
            else:
                return
        raise PeerError("; ".join(reasons) or "no gateway is connected")
