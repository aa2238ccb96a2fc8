"""The board: what outlasts the scheduler that decides, for the next one. It does not know what the bytes mean.

Only one scheduler writes at a time. What is read may be anything: who reads decides what of it to believe.
"""

from collections.abc import Mapping
from typing import Protocol

import attrs

#: The most build servers of which something is kept, and the most bytes that are kept of one.
MOST_SERVERS, MOST_BYTES = 10_000, 8 << 10
#: The most bytes of what is out of service: ten thousand drains with long reasons are less.
MOST_STATE_BYTES = 32 << 20


@attrs.frozen
class Posted:
    """What is there.

    :param now: when it was read, by the board's clock: see :meth:`Board.time`.
    :param servers: what is kept of each build server, by its address.
    :param state: what is out of service; None if nothing is said of that.
    """

    now: float
    servers: Mapping[str, bytes]
    state: bytes | None = None


@attrs.frozen
class BoardChanges:
    """What is to be there.

    :param servers: by address; None removes what is kept of one. The others stay.
    :param state: what is out of service; None for what is there.
    :param replaces_all: whether all that was kept of build servers goes before.
    """

    servers: Mapping[str, bytes | None]
    state: bytes | None = None
    replaces_all: bool = False


class Board(Protocol):
    """Keeps what it is told. Each call ends within a time limit, or may be given up by its caller."""

    async def time(self) -> float:
        """The time in seconds since 1970, by a clock that all that read the board have in common.

        :raises StoreError: the board does not answer.
        """

    async def read(self) -> Posted:
        """All that is there.

        :raises StoreError: the board does not answer.
        """

    async def write(self, changes: BoardChanges) -> bool:
        """Change what is there; returns whether what was written before is still there, as far as that is known.

        :raises StoreError: the board does not take it, or it is another scheduler's now.
        """

    def close(self) -> None:
        """Keep no connection."""
