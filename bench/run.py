"""One run of the benchmark: how much is measured, and where its files are. It knows no case."""

from pathlib import Path
from typing import Protocol

import attrs

from bench.quantities import Quantity
from bench.sides import PUBLISHED, Role


@attrs.frozen
class Run:
    """What every case gets.

    :param folder: for archives and inputs, shared by the cases.
    :param quick: whether a result within minutes matters more than an exact one.
    :param other: what ours is compared with.
    """

    folder: Path
    quick: bool
    other: Role = PUBLISHED

    def scaled(self, full: int, quick: int) -> int:
        """``full`` for a full run, ``quick`` for a quick one."""
        return quick if self.quick else full


class Case(Protocol):
    """One comparison.

    ``name`` is used for its files and on the command line, ``title`` stands in the table, and ``is_quick`` says
    whether a quick run includes it.
    """

    name: str
    title: str
    is_quick: bool

    def measure(self, run: Run) -> list[Quantity]:
        """Run the case; returns its rows."""
