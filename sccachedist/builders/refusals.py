"""Archives that cannot be unpacked, remembered for a while: the next job need not find out again.

Pure: the time is an argument.
"""

from collections import OrderedDict

from sccachedist.builders.worker_protocol import Failed, failed, raised
from sccachedist.errors import LimitExceeded, SccachedistError, ToolchainError
from sccachedist.wire.archive_id import ArchiveId

#: Seconds for which one is remembered, and how many are.
REMEMBERED_SECS, MOST = 300.0, 1000
#: The limits that an archive goes beyond by what is in it, however the host is.
_OF_CONTENT = frozenset(
    {"toolchain_unpacked_bytes", "toolchain_entries", "compression_ratio", "path_bytes", "path_depth"}
)


class Refusals:
    """What was wrong with archives."""

    def __init__(self) -> None:
        self._found: OrderedDict[ArchiveId, tuple[float, Failed]] = OrderedDict()

    def note(self, toolchain: ArchiveId, error: SccachedistError, now: float) -> None:
        """Remember an error, if the same archive will always end in it."""
        if isinstance(error, ToolchainError) or (isinstance(error, LimitExceeded) and error.limit in _OF_CONTENT):
            self._found.pop(toolchain, None)
            self._found[toolchain] = now + REMEMBERED_SECS, failed(error)
            if len(self._found) > MOST:
                self._found.popitem(last=False)

    def check(self, toolchain: ArchiveId, now: float) -> None:
        """See that nothing is known against an archive.

        :raises SccachedistError: what was wrong with it.
        """
        until, error = self._found.get(toolchain, (now, None))
        if error is not None and now < until:
            raise raised(error)
