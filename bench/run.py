"""One run of the benchmark: how much is measured, and where its files are. It knows no case."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Protocol

import attrs

from bench.quantities import Quantity
from bench.sides import PUBLISHED, Role


class NotMeasuredError(Exception):
    """A case cannot be measured here and now. The text says why."""


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what begins, and in the end how long it took: a case of minutes is not silent."""
    _say(f"  {what} ...")
    began = monotonic()
    yield
    _say(f" {monotonic() - began:.0f} s\n")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


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
        """Run the case; returns its rows.

        :raises NotMeasuredError: it needs what there is not.
        """
