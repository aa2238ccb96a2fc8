"""Compiles with a toolchain that is new to the farm: the first one, and many that need it at once."""

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.jobs import Work, compiling_c, compiling_rust, renewed
from bench.quantities import Bar, Quantity, by_turns
from bench.run import Run
from bench.sides import Side, both
from farmkit.load_client import LoadError

_CLIENTS = 40
_MOST_TRIES = 10


class FirstCompile:
    """The time from the start of the upload to the result.

    :param make: makes the compile.
    """

    is_quick = False

    def __init__(self, name: str, title: str, make: Callable[[Path], Work], rounds: int) -> None:
        self.name, self.title, self._make, self._rounds = name, title, make, rounds

    def measure(self, run: Run) -> list[Quantity]:
        """Seconds."""
        work = self._make(run.folder)
        with both(run.other) as (published, ours):
            rounds = by_turns(run.scaled(self._rounds, 2), published, ours, lambda side: _first(side, work))
        return [rounds.quantity("seconds", "s", Bar(0.7)).named("upload to result")]


class TogetherFirst:
    """The first compiles of many clients at once."""

    name = "toolchain-together"
    title = f"{_CLIENTS} clients that need the same new 31 MB toolchain at once"
    is_quick = False

    def measure(self, run: Run) -> list[Quantity]:
        """The time, the copies that were stored, and the clients that had to try again."""
        work = compiling_c(run.folder)
        with both(run.other) as (published, ours):
            rounds = by_turns(run.scaled(5, 2), published, ours, lambda side: _together(side, work))
        return [
            rounds.quantity("seconds", "s", Bar(0.5)).named("time to the last result"),
            rounds.quantity("copies", "", Bar(1.0, of_ours=True)).named("copies stored"),
            rounds.quantity("cut", "").named("clients that were cut off"),
        ]


def _first(side: Side, work: Work) -> dict[str, float]:
    fresh = renewed(work, side.farm.folder)
    seconds = side.client.first_compile(fresh.archive, fresh.toolchain, fresh.request, fresh.inputs)
    fresh.archive.unlink()
    return {"seconds": seconds}


def _together(side: Side, work: Work) -> dict[str, float]:
    fresh, stored = renewed(work, side.farm.folder), _bytes_below(side.archives)
    began = time.perf_counter()

    def compile_it(_: int) -> int:
        return _tries(lambda: side.client.first_compile(fresh.archive, fresh.toolchain, fresh.request, fresh.inputs))

    with ThreadPoolExecutor(_CLIENTS) as clients:
        cut = sum(clients.map(compile_it, range(_CLIENTS))) - _CLIENTS
    seconds = time.perf_counter() - began
    copies = (_bytes_below(side.archives) - stored) / fresh.archive.stat().st_size
    fresh.archive.unlink()
    return {"seconds": seconds, "copies": copies, "cut": cut}


def _tries(compile_it: Callable[[], float]) -> int:
    """How often a client tries until it has its result: a published build server cuts off uploads it does not need."""
    for tries in range(1, _MOST_TRIES):
        with contextlib.suppress(OSError, LoadError):
            compile_it()
            return tries
    compile_it()
    return _MOST_TRIES


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


TOOLCHAIN_CASES = (
    FirstCompile("first-gcc", "first compile with a 31 MB gcc toolchain", compiling_c, 7),
    FirstCompile("first-rustc", "first compile with a 215 MB rustc toolchain", compiling_rust, 3),
    TogetherFirst(),
)
