"""An honest client beside an attacker: what it is owed, and what it got."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
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

_ALONE = 30


@attrs.frozen
class Figures:
    """What the jobs of a client took, in seconds."""

    median: float
    worst: float

    @classmethod
    def of(cls, took: list[float]) -> "Figures":
        """The median and the 99th percentile."""
        return cls(statistics.median(took), sorted(took)[len(took) * 99 // 100])


@attrs.frozen
class Neighbour(Victim):
    """A farm that is attacked, and an honest client that others must not harm.

    :param user: as whom the build server runs.
    :param alone: what the client's jobs take without an attack.
    """

    user: str
    alone: Figures

    @classmethod
    def on(cls, farm: Farm, archive: Path, user: str) -> Self:
        """A neighbour on a farm that is quiet."""
        with _honest(farm, archive, _ALONE) as process:
            alone = Figures.of(_times(process))
        return cls(farm, archive, id_of(archive), user, alone)

    @contextlib.contextmanager
    def served(self, row: int) -> Iterator[None]:
        """Have the neighbour run jobs while the block attacks; at the end see that it was served.

        :param row: of THREATS, for the figures.
        """
        turns = {role: turns_of(self.farm.folder / role) for role in ("scheduler", "server")}
        for each in turns.values():
            each.forget()
        with _honest(self.farm, self.archive) as process:
            yield
            beside = Figures.of(_times(process))
        longest = {role: each.longest for role, each in turns.items()}
        self._note(row, beside, longest)
        assert max(longest.values()) <= TURN_SECS, longest
        assert beside.median <= MEDIAN * max(self.alone.median, LEAST_MEDIAN), (self.alone, beside)
        assert beside.worst <= WORST * max(self.alone.worst, LEAST_WORST), (self.alone, beside)

    def _note(self, row: int, beside: Figures, longest: dict[str, float]) -> None:
        """Keep the figures where ``SCCACHEDIST_FIGURES`` names a file for them."""
        if name := os.environ.get("SCCACHEDIST_FIGURES"):
            figures = {"row": row, "user": self.user, "turns": longest}
            figures |= {"alone": attrs.asdict(self.alone), "beside": attrs.asdict(beside)}
            with Path(name).open("a") as file:
                file.write(json.dumps(figures) + "\n")


@contextlib.contextmanager
def _honest(farm: Farm, archive: Path, *jobs: int) -> Iterator[subprocess.Popen[bytes]]:
    """The honest client, when its first job is done."""
    scheduler = f"{farm.scheduler_host}:{farm.scheduler_port}"
    arguments = ["-m", "tests.hostile.honest", scheduler, ADDRESS, str(archive), *map(str, jobs)]
    environment = inherited(PYTHONPATH=str(CHECKOUT), TOKEN=farm.client_token)
    with subprocess.Popen(
        [sys.executable, *arguments], env=environment, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert cast(IO[bytes], process.stdout).readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def _times(process: subprocess.Popen[bytes]) -> list[float]:
    """End the honest client and get its times."""
    told, _ = process.communicate(b"\n", timeout=60)
    assert process.returncode == 0, "the neighbour was not served"
    return [float(took) for took in json.loads(told)]
