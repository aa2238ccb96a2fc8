"""A real C++ project, compiled with the published client."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import attrs

from bench.meters import Meter, own_cpu_secs
from bench.quantities import Bar, Quantity, by_turns
from bench.run import Run
from bench.sides import Side, both
from farmkit.processes import Command
from farmkit.projects import CXX, Project, write_project
from farmkit.published_client import Client
from sccachedist.builders.cpus import usable_cpus
from sccachedist.wire.messages import job_capacity

_PARTS = 100


def project_in(folder: Path) -> Project:
    """The project, which both kinds of case compile."""
    return write_project(folder / "project", CXX, _PARTS)


def build(project: Project, at_a_time: int, compiling: Callable[[Sequence[str], Path], Command]) -> float:
    """Compile everything; returns the seconds that it took.

    :param compiling: from a compiler's command line and its folder to what is run.
    """

    def compile_one(source: Path) -> None:
        ended = compiling(project.compile_command(source), project.folder).run(600)
        if ended.returncode:
            raise RuntimeError(f"a compile failed: {ended.stderr}")

    began = time.perf_counter()
    with ThreadPoolExecutor(at_a_time) as makes:
        for _ in makes.map(compile_one, project.sources):
            pass
    return time.perf_counter() - began


@attrs.frozen
class _Developer:
    """A client, a project, and the number of compiles at a time."""

    client: Client
    project: Project
    at_a_time: int
    farm: Meter

    def build(self) -> dict[str, float]:
        """Compile everything."""
        before, own = self.client.statistics().total_remote, own_cpu_secs(self.farm)
        seconds = build(self.project, self.at_a_time, self.client.compiling)
        remote = self.client.statistics().total_remote - before
        return {
            "seconds": seconds,
            "share": remote / len(self.project.sources),
            "CPU": (own_cpu_secs(self.farm) - own) / max(1, remote) * 1000,
        }


class ProjectBuild:
    """Wall time of a build.

    :param jobs: compiles at a time, as a multiple of the build server's capacity.
    """

    is_quick = False

    def __init__(self, jobs: int, bar: Bar, share: Bar | None) -> None:
        self.name = f"project-{jobs}"
        self.title = f"a C++ project of {_PARTS + 1} files, published client, ``-j`` = {jobs} times the capacity"
        self._jobs, self._bar, self._share = jobs, bar, share

    def measure(self, run: Run) -> list[Quantity]:
        """Wall time, the share that was compiled remotely, and the CPU time besides sandboxes and compilers."""
        at_a_time = self._jobs * job_capacity(usable_cpus())
        with (
            both(run.other) as (published, ours),
            _developer(published, at_a_time) as one,
            _developer(ours, at_a_time) as two,
        ):
            rounds = by_turns(run.scaled(4, 1), one, two, _Developer.build, warm_up=False)
        return [
            rounds.quantity("seconds", "s", self._bar).named("wall time"),
            rounds.quantity("share", "", self._share).named("share compiled remotely"),
            rounds.quantity("CPU", "ms", Bar(0.7)).named("CPU of daemons and sandbox workers alone for a remote file"),
        ]


@contextmanager
def _developer(side: Side, at_a_time: int) -> Iterator[_Developer]:
    folder = side.farm.folder
    project = project_in(folder)
    farm = side.farm
    with Client(folder / "client", farm.scheduler_url, farm.client_token, folder / "toolchains") as client:
        developer = _Developer(client, project, at_a_time, side.meter)
        attrs.evolve(developer, project=attrs.evolve(project, sources=project.sources[:1])).build()  # packs g++
        yield developer


PROJECT_BUILDS = (ProjectBuild(1, Bar(1.0), None), ProjectBuild(4, Bar(0.95), Bar(0.99, reached=True, of_ours=True)))
