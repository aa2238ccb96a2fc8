"""A build of two hundred files through the published client, with faults on the way.

It knows when a fault is due and whether a compile went well; what a fault does is the farm's.
"""

import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

from farmkit.processes import Command, inherited, wait_until
from farmkit.projects import C, Project, write_project
from farmkit.published_client import Client
from tests.faults.schedule import Fault

#: How many files a build has, and how many are compiled at once.
FILES, PARALLEL = 200, 8

#: Seconds after which a compile hangs, and a build: more than any fault lasts, less than a client waits.
_COMPILE_SECS, _BUILD_SECS = 400, 900

#: A language of small files: what is tried is the farm, not the compiler.
SMALL = attrs.evolve(C, part="int part_{n}(int x)\n{{\n    return x * {n};\n}}\n")


@attrs.frozen
class Outcome:
    """How a build ended.

    :param longest: seconds that the slowest compile took.
    :param wrong: one line for each file that is not as a local compile makes it.
    :param late: faults that came when all was compiled.
    """

    servers: frozenset[str]
    remote: int
    given_back: int
    longest: float
    wrong: tuple[str, ...]
    late: tuple[Fault, ...]


@attrs.frozen
class Build:
    """The project, and the objects that a local build makes of it."""

    project: Project
    local: Mapping[str, bytes]

    @classmethod
    def prepared(cls, folder: Path, files: int = FILES) -> "Build":
        """Write a project of so many files and compile it locally, once for many builds."""
        project = write_project(folder, SMALL, files - 1)
        with ThreadPoolExecutor(PARALLEL) as compiles:
            objects = compiles.map(lambda source: _local(project, source), project.sources)
        return cls(project, dict(zip((source.name for source in project.sources), objects, strict=True)))

    def beginning(self, files: int) -> "Build":
        """A build of the first so many files."""
        return attrs.evolve(self, project=attrs.evolve(self.project, sources=self.project.sources[:files]))

    def run(
        self, client: Client, faults: Sequence[Fault], befall: Callable[[Fault], None], parallel: int = PARALLEL
    ) -> Outcome:
        """Build all of it while the faults happen, each in its time; those of one daemon do not overlap."""
        before, progress, late = client.statistics(), Progress(), list[Fault]()

        def begin(fault: Fault) -> None:
            if progress.reached(len(self.project.sources)):
                late.append(fault)
            befall(fault)

        with ThreadPoolExecutor(parallel) as compiles, ThreadPoolExecutor() as troubles:
            ends = [compiles.submit(self._compile, client, source, progress) for source in self.project.sources]
            pending = [troubles.submit(_in_turn, mine, progress, begin) for mine in _by_target(faults)]
            wrong = tuple(line for end in ends if (line := end.result()) is not None)
            for trouble in pending:
                trouble.result()
        after = client.statistics()
        return Outcome(
            frozenset(after.servers_since(before)),
            after.total_remote - before.total_remote,
            after.errors - before.errors,
            progress.longest,
            wrong,
            tuple(late),
        )

    def compile_one(self, client: Client) -> str | None:
        """Compile a single file: what is wrong with it."""
        return self._compile(client, self.project.sources[-1], Progress())

    def _compile(self, client: Client, source: Path, progress: "Progress") -> str | None:
        made = self.project.object_of(source)
        made.unlink(missing_ok=True)
        began = time.monotonic()
        try:
            ended = client.compiling(self.project.compile_command(source), self.project.folder).run(_COMPILE_SECS)
        except subprocess.TimeoutExpired as error:
            return f"{source.name}: {error}"
        finally:
            progress.step(time.monotonic() - began)
        if ended.returncode != 0:
            return f"{source.name}: status {ended.returncode}: {ended.stderr.strip()}"
        if not made.exists() or made.read_bytes() != self.local[source.name]:
            return f"{source.name}: the object is not that of a local compile"
        return None


@attrs.frozen
class Progress:
    """The compiles that have ended."""

    _ended: list[float] = attrs.field(factory=list, init=False)

    def step(self, seconds: float) -> None:
        """One more has, and took so long."""
        self._ended.append(seconds)

    def reached(self, count: int) -> bool:
        """Whether so many have."""
        return len(self._ended) >= count

    @property
    def longest(self) -> float:
        """How many seconds the slowest took."""
        return max(self._ended)


def _local(project: Project, source: Path) -> bytes:
    ended = Command(project.compile_command(source), inherited(), project.folder).run(_COMPILE_SECS)
    assert ended.returncode == 0, ended
    return project.object_of(source).read_bytes()


def _by_target(faults: Sequence[Fault]) -> Sequence[Sequence[Fault]]:
    targets = defaultdict(list)
    for fault in faults:
        targets[fault.target].append(fault)
    return list(targets.values())


def _in_turn(faults: Sequence[Fault], progress: Progress, befall: Callable[[Fault], None]) -> None:
    for fault in faults:
        wait_until(lambda after=fault.after: progress.reached(after), _BUILD_SECS, f"{fault.after} files")  # type: ignore[misc]
        befall(fault)
