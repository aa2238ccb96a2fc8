"""One build for each seed on one farm, and the verdict on it."""

import contextlib
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs

from farmkit.published_client import Client
from tests.faults.build import FILES, PARALLEL, Build, Outcome
from tests.faults.farm import FaultyFarm
from tests.faults.schedule import Fault, schedule
from tests.faults.setups import SETUPS, running
from tests.faults.traces import NOTHING, Traces, processes, wait_for_rest

_LINES = 40
#: What the client says of a compile that it gets back.
_GIVEN_BACK = "falling back to local"


@attrs.frozen
class Verdict:
    """What became of one seed's build.

    :param seconds: how long the build took.
    :param rest_secs: how long it took then until the farm was as before.
    :param trouble: one line for each thing that is not as it should be.
    """

    seed: int
    faults: tuple[Fault, ...]
    outcome: Outcome
    seconds: float
    rest_secs: float
    trouble: tuple[str, ...]

    def __str__(self) -> str:
        counted = f"{self.outcome.remote:3} of {FILES} remote, {self.outcome.given_back} given back"
        verdict = "good" if not self.trouble else "FAILED"
        times = f"{self.seconds:.0f} s, the slowest compile {self.outcome.longest:.0f} s, then {self.rest_secs:.0f} s"
        return f"seed {self.seed:4}: {verdict}, {counted}, {len(self.faults)} faults, {times}"


@attrs.frozen
class Logs:
    """How far the logs of a farm and its client went at one moment."""

    ends: Mapping[Path, int]

    @classmethod
    def of(cls, farm: FaultyFarm, client: Client) -> "Logs":
        """Look now."""
        daemons = (*(member.daemon for member in farm.members.values()), client.daemon)
        return cls({daemon.log: daemon.log.stat().st_size for daemon in daemons})

    def said(self) -> Iterator[str]:
        """The last that each of them says since then, and why the client has got compiles back."""
        for log, end in self.ends.items():
            with log.open("rb") as file:
                file.seek(end)
                lines = file.read().decode(errors="replace").splitlines()
            why = [line for line in lines[:-_LINES] if _GIVEN_BACK in line][:_LINES]
            yield "\n".join([f"--- {log.name} of {log.parent.name}", *why, *lines[-_LINES:]])


@attrs.frozen
class Range:
    """A farm, a client and a project: where the builds of one set-up happen."""

    targets: Callable[[int], tuple[Fault, ...]]
    farm: FaultyFarm
    client: Client
    build: Build
    others: tuple[int, ...]
    rest: Mapping[str, int]

    def run(self, seed: int) -> Verdict:
        """Build once, under the faults of a seed."""
        faults, began = self.targets(seed), time.monotonic()
        logs = Logs.of(self.farm, self.client)
        outcome = self.build.run(self.client, faults, self.farm.befall)
        ended = time.monotonic()
        trouble = [*outcome.wrong, *self._aftermath()]
        if outcome.longest > self.farm.patience_secs:
            trouble.append(f"a compile took {outcome.longest:.0f} s")
        if trouble:
            trouble += logs.said()
        return Verdict(seed, faults, outcome, ended - began, time.monotonic() - ended, tuple(trouble))

    def _aftermath(self) -> Iterator[str]:
        """The farm is whole again, nothing is left, and the next compile is remote."""
        try:
            self.farm.wait_until_whole()
        except TimeoutError as error:
            yield str(error)
        left = wait_for_rest(self.farm, self.others, self.rest)
        if left != NOTHING:
            yield f"left behind: {left}"
        before = self.client.statistics()
        wrong = self.build.compile_one(self.client)
        after = self.client.statistics()
        if wrong is not None or after.total_remote != before.total_remote + 1:
            yield f"the next compile is not remote: {wrong}, {after}"


def with_toolchains(parser: ArgumentParser) -> None:
    """Have a program take ``--toolchains``."""
    text = "compilers that a client has packed; by default, it packs its own"
    parser.add_argument("--toolchains", type=Path, metavar="FOLDER", help=text)


@contextlib.contextmanager
def prepared(setup_name: str, folder: Path, toolchains: Path | None) -> Iterator[Range]:
    """All that the builds of a set-up need; the client has packed its compiler, each build server has it.

    :param toolchains: where it is packed, or ``None`` if it is not yet.
    """
    setup, build = SETUPS[setup_name], Build.prepared(folder / "project")
    strangers = tuple(each.pid for each in processes())
    with running(setup, folder / "farm") as farm:
        url, token = farm.asked.scheduler_url, farm.asked.client_token
        with Client(folder / "client", url, token, toolchains or folder / "toolchains") as client:
            warm(client, build)
            others = (*strangers, client.daemon.process.pid, *farm.others)
            assert wait_for_rest(farm, others, {}) == NOTHING
            rest = Traces.of(farm, others).descriptors
            yield Range(lambda seed: schedule(seed, setup.targets, FILES), farm, client, build, others, rest)


def warm(client: Client, build: Build) -> None:
    """Have the client pack its compiler, and each build server take it."""
    outcome = build.beginning(4 * PARALLEL).run(client, (), lambda _: None)
    assert outcome.wrong == (), outcome.wrong
