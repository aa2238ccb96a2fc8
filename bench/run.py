"""One run of the benchmark: how much is measured, and where what it needs is made."""

from pathlib import Path
from typing import Protocol

import attrs

from bench.quantities import Quantity


@attrs.frozen
class Run:
    """What every case gets.

    :param folder: for archives and inputs, shared by the cases.
    :param quick: whether the answer is wanted in minutes rather than exactly.
    """

    folder: Path
    quick: bool

    def scaled(self, full: int, quick: int) -> int:
        """How many, for a full run and for a quick one."""
        return quick if self.quick else full


class Case(Protocol):
    """One comparison.

    ``name`` is that of its files and on the command line, ``title`` stands in the table, and ``is_quick`` says
    whether a quick run has it.
    """

    name: str
    title: str
    is_quick: bool

    def measure(self, run: Run) -> list[Quantity]:
        """Run it, and give its rows."""
