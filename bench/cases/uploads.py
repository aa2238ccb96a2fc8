"""A farm of several build servers: how often the same toolchain is uploaded."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.jobs import Work, copying, renewed
from bench.quantities import Quantity, Rounds
from bench.run import Run
from bench.sides import OURS, Role, Side, side
from farmkit.farm import Farm
from farmkit.processes import wait_until

_SERVERS, _TOOLCHAINS, _COMPILES, _AT_A_TIME = 4, 4, 64, 3
_START_SECS = 30.0


class Uploads:
    """Compiles with a few toolchains, a few at a time, in a farm that is not full."""

    name = "farm-uploads"
    title = f"{_COMPILES} compiles with {_TOOLCHAINS} toolchains on {_SERVERS} build servers"
    is_quick = True

    def measure(self, run: Run) -> list[Quantity]:
        """The bytes that all build servers store in the end, in fresh farms each round."""
        work = copying(run.folder, 1000)
        turns = [(_uploaded(run.other, work), _uploaded(OURS, work)) for _ in range(run.scaled(5, 1))]
        rounds = Rounds(tuple(turn[0] for turn in turns), tuple(turn[1] for turn in turns))
        return [rounds.quantity("MB", "MB").named("uploaded to all build servers")]


def _uploaded(role: Role, work: Work) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, _farm(role, Path(folder)) as (first, caches):
        works = [renewed(work, Path(folder)) for _ in range(_TOOLCHAINS)]

        def compile_it(number: int) -> None:
            one = works[number % _TOOLCHAINS]
            first.client.first_compile(one.archive, one.toolchain, one.request, one.inputs)

        with ThreadPoolExecutor(_AT_A_TIME) as clients:
            for _ in clients.map(compile_it, range(_COMPILES)):
                pass
        return {"MB": sum(path.stat().st_size for cache in caches for path in cache.rglob("*") if path.is_file()) / 1e6}


@contextmanager
def _farm(role: Role, folder: Path) -> Iterator[tuple[Side, list[Path]]]:
    """A side with more build servers than its own, and all folders in which toolchains are stored."""
    with side(role, folder) as first, ExitStack() as running:
        caches = [first.archives]
        for number in range(1, _SERVERS):
            farm = _member(first, role, folder / f"server-{number}")
            running.callback(farm.stop)
            farm.start_server()
            caches.append(farm.server_folder / "cache" / "tc")
        wait_until(lambda: first.farm.status().num_servers == _SERVERS, _START_SECS, "all build servers are registered")
        yield first, caches


def _member(first: Side, role: Role, folder: Path) -> Farm:
    folder.mkdir()
    farm = first.farm
    return Farm(
        folder,
        launch_scheduler=first.meter.metered(role.scheduler),
        launch_server=first.meter.metered(role.server),
        scheduler_port=farm.scheduler_port,
        client_token=farm.client_token,
        server_key=farm.server_key,
    )
