"""The lock that schedulers elect their leader with: who has it decides. It does not know how a store keeps one."""

from typing import Protocol

import attrs

from sccachedist.cluster.leadership import Candidate


@attrs.frozen
class Holder:
    """Who has the lock.

    :param number: of its time in office, see :class:`~sccachedist.cluster.leadership.Leading`.
    """

    candidate: Candidate
    number: int


class Lock(Protocol):
    """A lock that lapses unless its holder takes it again in time. Each question ends within a time limit."""

    async def take(self, candidate: Candidate, least: int, ttl: float) -> Holder:
        """Take it if it is free, or keep it.

        The candidate that had it last keeps its number, unless that is below ``least``. Another one gets ``least``, or
        more: it is :data:`~sccachedist.cluster.election.STEP` above the last number that the store knows.

        :param ttl: seconds after which it lapses.
        :returns: who has it now.
        :raises StoreError: the store has not answered.
        """

    async def offered(self) -> Holder | None:
        """Who has it, asked of a store in which it can be taken; None if it is free.

        :raises StoreError: the store has not answered, or it is one in which it cannot be taken.
        """

    async def holder(self) -> Holder | None:
        """Who has it.

        :raises StoreError: the store has not answered.
        """

    async def release(self, candidate: Candidate) -> None:
        """Give it up, if this one has it.

        :raises StoreError: the store has not answered.
        """

    def close(self) -> None:
        """Keep no connection to the store."""
