"""Remembers archives that cannot be unpacked, so that the next job with one fails without another attempt.

Pure: the time is an argument. It does not know how an archive is unpacked.
"""

from collections import OrderedDict

import attrs

from sccachedist.builders.worker_protocol import Failed, UnpackLimits, failed, raised
from sccachedist.errors import LimitExceeded, SccachedistError, ToolchainError
from sccachedist.wire.archive_id import ArchiveId

#: Seconds that an archive is remembered, and how many archives are.
REMEMBERED_SECS, MOST = 300.0, 1000
#: The limits that depend on an archive's content alone, not on the host.
_OF_CONTENT = frozenset(field.name for field in attrs.fields(UnpackLimits))


class Refusals:
    """The last error of each remembered archive."""

    def __init__(self) -> None:
        self._found: OrderedDict[ArchiveId, tuple[float, Failed]] = OrderedDict()

    def note(self, toolchain: ArchiveId, error: SccachedistError, now: float) -> None:
        """Remember an error, if the same archive will always cause it."""
        if isinstance(error, ToolchainError) or (isinstance(error, LimitExceeded) and error.limit in _OF_CONTENT):
            self._found.pop(toolchain, None)
            self._found[toolchain] = now + REMEMBERED_SECS, failed(error)
            if len(self._found) > MOST:
                self._found.popitem(last=False)

    def check(self, toolchain: ArchiveId, now: float) -> None:
        """Return if no error is remembered for an archive.

        :raises SccachedistError: the remembered error.
        """
        until, error = self._found.get(toolchain, (now, None))
        if error is not None and now < until:
            raise raised(error)
