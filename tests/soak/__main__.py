"""``python -m tests.soak --seconds 7200``: ends with status 0 if nothing has grown."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from farmkit import program
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, Launch
from farmkit.processes import Command
from farmkit.viewers import viewers
from tests.faults.build import PARALLEL, Build
from tests.soak.gauges import read
from tests.soak.growth import Reading, beginning_and_end, grown
from tests.soak.load import Load

_FEWEST_ROUNDS = 5
#: How many follow the farm in each round, and how many of them read nothing.
_VIEWERS, _STALLED = 20, 5
# Room for a compiler and a few of the toolchains that each round brings: others are evicted.
_CACHE_BYTES = 60_000_000


def main(arguments: Sequence[str]) -> int:
    """Run it; the result is the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--seconds", type=float, default=7200, help="two hours where not given")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="sccachedist-soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        build = Build.prepared(folder / "project", 4 * PARALLEL)
        (folder / "farm").mkdir()
        with Farm(folder / "farm", OUR_SCHEDULER, with_small_cache(OUR_SERVER)) as farm:
            readings = soak(farm, Load(farm, build, folder, folder / "toolchains"), options.seconds)
    return report(readings)


def soak(farm: Farm, load: Load, seconds: float) -> list[Reading]:
    """Rounds for so long, but a few of them at least, and what was read after each."""
    readings: list[Reading] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(readings) < _FEWEST_ROUNDS:
        with viewers(farm.scheduler_port, farm.client_token, _VIEWERS, _STALLED):
            load.round()
        readings.append(read(farm))
        say(f"round {len(readings)}: {', '.join(f'{name} {value:.0f}' for name, value in readings[-1].items())}")
    return readings


def report(readings: Sequence[Reading]) -> int:
    """Say what there was at the beginning and at the end; the result is the exit status."""
    first, last = beginning_and_end(readings)
    more = grown(readings)
    for name in first:
        say(f"{name:<36} {first[name]:9.0f} {last[name]:9.0f} {'GROWN' if name in more else ''}")
    return 1 if more else 0


def with_small_cache(launch: Launch) -> Launch:
    """The same build server, which keeps few toolchains."""

    def launch_small(config: Path) -> Command:
        config.write_text(f"toolchain_cache_size = {_CACHE_BYTES}\n{config.read_text()}")
        return launch(config)

    return launch_small


def say(line: str) -> None:
    """A line for the person who watches."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    program.run(partial(main, sys.argv[1:]))
