"""An honest client beside an attacker: what it is owed, and what it got."""

import contextlib
import json
import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self, cast

import attrs

from farmkit.busybox_jobs import id_of
from farmkit.farm import Farm
from farmkit.launch import CHECKOUT
from farmkit.processes import inherited
from tests.hostile.victim import Victim
from tests.support.turns import turns_of

#: Where the neighbour sends from: with another address it is another client, as far as shares go.
ADDRESS = "127.0.0.2"
#: The longest turn of a reactor in seconds of CPU: three times what is measured on a quiet machine at most, for it
#: grows with what else the core does.
TURN_SECS = 0.06
#: How many times as long as alone a job may take beside an attack, the median and the worst of a hundred. Measured on a
#: quiet machine it is half of that; the rest is for tests that run side by side.
MEDIAN, WORST = 3, 10
#: Seconds below which a time counts as this long: what a busy machine adds is not the attack's, nor is the second after
#: which a slot is lent whose client has not come.
LEAST_MEDIAN, LEAST_WORST = 0.05, 0.15

#: The environment variable with the name of a file for the figures; the row of those without an attack.
FIGURES, NO_ATTACK = "SCCACHEDIST_FIGURES", 0

#: How many jobs there are at least for a median: alone, and beside an attack.
_ALONE = 30
#: What runs when an attack is over tells nothing of it: one of a moment has few jobs beside it, one of seconds more.
_BESIDE = 10
_END_SECS = 60


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """Have a process take all of a core that it gets."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as burning:
        try:
            yield
        finally:
            burning.kill()


@attrs.frozen
class Figures:
    """What the jobs of a client took, in seconds."""

    median: float
    worst: float

    @classmethod
    def of(cls, took: list[float]) -> "Figures":
        """The median and the 99th percentile."""
        return cls(statistics.median(took), sorted(took)[len(took) * 99 // 100])


@attrs.define
class Honest:
    """An honest client of a farm: a process that runs jobs while it is told to, or none yet."""

    farm: Farm
    archive: Path
    _process: subprocess.Popen[bytes] | None = attrs.field(default=None, init=False)

    @contextlib.contextmanager
    def running_jobs(self, least: int) -> Iterator[list[float]]:
        """Have it run jobs while the block does something, so many at least; what each took is in the list then."""
        process = self._process = self._process or self._started()
        took: list[float] = []
        try:
            assert self._told(process, f"{least}\n") == b"ready\n"
            yield took
            took += json.loads(self._told(process, "\n"))
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End the process."""
        if self._process is not None:
            with self._process:
                self._process.kill()
        self._process = None

    def _started(self) -> subprocess.Popen[bytes]:
        scheduler = f"{self.farm.scheduler_host}:{self.farm.scheduler_port}"
        arguments = ["-m", "tests.hostile.honest", scheduler, ADDRESS, str(self.archive)]
        environment = inherited(PYTHONPATH=str(CHECKOUT), TOKEN=self.farm.client_token)
        return subprocess.Popen(
            [sys.executable, *arguments], env=environment, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def _told(self, process: subprocess.Popen[bytes], line: str) -> bytes:
        """What it answers to a line."""
        asked, answers = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
        asked.write(line.encode())
        asked.flush()
        assert select.select([answers], [], [], _END_SECS)[0], "the neighbour goes on waiting"
        answer = answers.readline()
        assert answer, "the neighbour was not served"
        return answer


@attrs.frozen
class Neighbour(Victim):
    """A farm that is attacked, and an honest client that others must not harm.

    :param user: as whom the build server runs.
    :param alone: what the client's jobs take without an attack.
    """

    user: str
    honest: Honest
    alone: Figures

    @classmethod
    @contextlib.contextmanager
    def on(cls, farm: Farm, archive: Path, user: str) -> Iterator[Self]:
        """A neighbour on a farm that is quiet."""
        honest = Honest(farm, archive)
        try:
            with honest.running_jobs(_ALONE) as alone:
                pass
            yield cls(farm, archive, id_of(archive), user, honest, Figures.of(alone))
        finally:
            honest.end()

    @contextlib.contextmanager
    def served(self, row: int) -> Iterator[None]:
        """Have the neighbour run jobs while the block attacks; at the end see that it was served.

        :param row: of THREATS, for the figures.
        """
        turns = {role: turns_of(self.farm.folder / role) for role in ("scheduler", "server")}
        for each in turns.values():
            each.forget()
        with self.honest.running_jobs(_BESIDE) as took:
            yield
        beside = Figures.of(took)
        longest = {role: each.longest for role, each in turns.items()}
        self._note(row, beside, longest)
        assert max(longest.values()) <= TURN_SECS, longest
        assert beside.median <= MEDIAN * max(self.alone.median, LEAST_MEDIAN), (self.alone, beside)
        assert beside.worst <= WORST * max(self.alone.worst, LEAST_WORST), (self.alone, beside)

    def compare(self) -> None:
        """Note what the neighbour gets beside a process that takes a core, as attackers do, and asks nothing.

        Only where figures are kept: nothing is attacked.
        """
        if FIGURES in os.environ:
            with self.served(NO_ATTACK), busy_core():
                time.sleep(1)

    def _note(self, row: int, beside: Figures, longest: dict[str, float]) -> None:
        """Keep the figures where :data:`FIGURES` names a file for them."""
        if name := os.environ.get(FIGURES):
            figures = {"row": row, "user": self.user, "turns": longest}
            figures |= {"alone": attrs.asdict(self.alone), "beside": attrs.asdict(beside)}
            with Path(name).open("a") as file:
                file.write(json.dumps(figures) + "\n")
