"""The project beside distcc: what a build takes of the CPU beyond the same build at home, client and daemons together.

distcc sends what the preprocessor makes, as sccache does, and runs the compiler without a sandbox. Its daemon is on the
loopback, as ours is.
"""

import contextlib
import functools
import os
import resource
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs

from bench.cases.projects import build, project_in
from bench.meters import cpu_secs_of, meter, own_cpu_secs
from bench.quantities import Bar, Quantity
from bench.run import Run
from bench.sides import Side, both
from farmkit.processes import LOOPBACK, Command, Daemon, answers, free_port, inherited
from farmkit.projects import Project
from farmkit.published_client import Client

#: Compiles at a time.
AT_A_TIME = 2
#: The most that a file may cost beyond home, as a multiple of what it costs with distcc.
_BAR = Bar(1.2)


@attrs.frozen
class _Way:
    """A way to compile the project.

    :param cpu_secs: the CPU seconds of daemons until now; the compile's own command counts besides.
    :param own_secs: those of the farm's daemons and sandbox workers among them, without sandboxes and compilers.
    """

    name: str
    project: Project
    compiling: Callable[[Sequence[str], Path], Command]
    cpu_secs: Callable[[], float]
    own_secs: Callable[[], float] = lambda: 0.0

    def build(self) -> dict[str, float]:
        """Compile everything: seconds, and milliseconds of CPU for a file."""
        all_before, own_before = self._all_secs(), self.own_secs()
        seconds = build(self.project, AT_A_TIME, self.compiling)
        used, own = self._all_secs() - all_before, self.own_secs() - own_before
        files = len(self.project.sources)
        return {"wall": seconds, "cpu": used / files * 1000, "own": own / files * 1000}

    def _all_secs(self) -> float:
        waited = resource.getrusage(resource.RUSAGE_CHILDREN)
        return self.cpu_secs() + waited.ru_utime + waited.ru_stime


class BesideDistcc:
    """CPU and wall time of a build: at home, with distcc, on the farm of either side."""

    name = "project-distcc"
    title = f"that project at ``-j{AT_A_TIME}``"
    is_quick = False

    def measure(self, run: Run) -> list[Quantity]:
        """What a file takes beyond home, and the wall time."""
        with contextlib.ExitStack() as opened:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            sides = opened.enter_context(both(run.other))
            farms = [opened.enter_context(_farm(side)) for side in sides]
            ways = [_home(folder), opened.enter_context(_distcc(folder)), *farms]
            for way in ways:
                way.build()  # packs and uploads the compiler, fills caches
            rounds = [[way.build() for way in ways] for _ in range(run.scaled(4, 1))]
        home, distcc, published, ours = ([row[n] for row in rounds] for n in range(len(ways)))
        beyond = functools.partial(_beyond, home)
        return [
            Quantity("CPU for a file beyond home, distcc's on the left", "ms", beyond(distcc), beyond(ours), _BAR),
            Quantity("CPU for a file beyond home", "ms", beyond(published), beyond(ours)),
            Quantity(
                "of it, the farm's daemons and sandbox workers", "ms", _each(published, "own"), _each(ours, "own")
            ),
            Quantity("wall time, distcc's on the left", "s", _each(distcc, "wall"), _each(ours, "wall")),
            Quantity("wall time", "s", _each(published, "wall"), _each(ours, "wall")),
        ]


def _beyond(home: list[dict[str, float]], rounds: list[dict[str, float]]) -> tuple[float, ...]:
    return tuple(there["cpu"] - here["cpu"] for here, there in zip(home, rounds, strict=True))


def _each(rounds: list[dict[str, float]], name: str) -> tuple[float, ...]:
    return tuple(there[name] for there in rounds)


def _home(folder: Path) -> _Way:
    def compiling(command: Sequence[str], at: Path) -> Command:
        return Command(tuple(command), inherited(), at)

    return _Way("home", project_in(folder / "home"), compiling, lambda: 0.0)


@contextlib.contextmanager
def _distcc(folder: Path) -> Iterator[_Way]:
    port, place = free_port(), folder / "distcc"
    project = project_in(place)
    environment = inherited(DISTCC_DIR=str(place), DISTCC_HOSTS=f"{LOOPBACK}:{port}/{AT_A_TIME}", DISTCC_FALLBACK="0")

    def daemon(log: Path) -> Command:
        listening = ("--listen", LOOPBACK, "--port", str(port), "--allow", LOOPBACK, "--enable-tcp-insecure")
        own = ("--jobs", str(AT_A_TIME), "--log-file", str(log), *(("--user", "nobody") if os.geteuid() == 0 else ()))
        return Command(("distccd", "--no-detach", "--daemon", *listening, *own), inherited(), place)

    def compiling(command: Sequence[str], at: Path) -> Command:
        return Command(("distcc", *command), environment, at)

    with meter() as counted:
        log = place / "distccd.log"
        log.touch()
        log.chmod(0o666)
        started = Daemon.start(counted.metered(daemon)(log), place / "started.log")
        try:
            started.wait_until(lambda: answers(port), 20, "distccd answers")
            yield _Way("distcc", project, compiling, counted.cpu_secs)
        finally:
            started.stop()


@contextlib.contextmanager
def _farm(side: Side) -> Iterator[_Way]:
    folder, farm = side.farm.folder, side.farm
    with Client(folder / "client", farm.scheduler_url, farm.client_token, folder / "toolchains") as client:
        pid = client.daemon.process.pid
        project = project_in(folder)
        yield _Way(
            side.name,
            project,
            client.compiling,
            lambda: side.meter.cpu_secs() + cpu_secs_of(pid),
            lambda: own_cpu_secs(side.meter),
        )
