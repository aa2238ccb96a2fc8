"""The values that say who decides for the farm, for one of several schedulers.

Pure. When a scheduler begins and stops to lead is decided in :mod:`sccachedist.cluster.election`.
"""

from collections.abc import Callable
from typing import Protocol

import attrs


@attrs.frozen
class Candidate:
    """One run of one scheduler.

    :param url: where the others reach it.
    :param incarnation: no other run has the same, nor an earlier one at the same address. Empty if it is not known.
    """

    url: str
    incarnation: str

    def may_be(self, other: "Candidate | None") -> bool:
        """Whether both are the same run, as far as that is known."""
        if other is None or self.url != other.url:
            return False
        return self.incarnation == other.incarnation or not (self.incarnation and other.incarnation)


@attrs.frozen
class Leading:
    """It decides itself.

    :param number: of its time in office; later ones have greater numbers.
    """

    number: int = 0


@attrs.frozen
class Following:
    """Another one decides.

    :param leader: None if that is not known, or not settled.
    """

    leader: Candidate | None = None


Leadership = Leading | Following


class Election(Protocol):
    """Says who leads."""

    @property
    def current(self) -> Leadership:
        """Who leads now."""

    def observe(self, observer: Callable[[Leadership], None]) -> None:
        """Have a function called after each change."""


class Alone:
    """The election of the only scheduler: it always leads."""

    current: Leadership = Leading()

    def observe(self, observer: Callable[[Leadership], None]) -> None:
        """There are no changes."""
