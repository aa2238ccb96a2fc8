"""``python -m tests.faults --seeds 1-30 --setup ours``: ends with status 0 if every build was good.

What is printed names the seed of each build; the same seed gives the same faults.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from farmkit import program
from tests.faults.alone import be_alone
from tests.faults.build import FILES
from tests.faults.run import Range, prepared, with_toolchains
from tests.faults.schedule import schedule
from tests.faults.setups import SETUPS


def main(arguments: Sequence[str]) -> int:
    """Run it; the result is the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--seeds", type=_seeds, default=range(1, 31), metavar="A-B", help="1-30 where none are given")
    parser.add_argument("--setup", choices=SETUPS, default="ours")
    with_toolchains(parser)
    parser.add_argument("--show", action="store_true", help="print the faults of the seeds and do nothing")
    options = parser.parse_args(arguments)
    if options.show:
        for seed in options.seeds:
            _say(f"seed {seed}:", *schedule(seed, SETUPS[options.setup].targets, FILES))
        return 0
    be_alone("tests.faults", arguments)
    with (
        tempfile.TemporaryDirectory(prefix="sccachedist-faults-", ignore_cleanup_errors=True) as folder,
        prepared(options.setup, Path(folder), options.toolchains) as where,
    ):
        return _run(where, options.seeds, options.setup)


def _run(where: Range, seeds: Sequence[int], setup: str) -> int:
    failed = []
    for seed in seeds:
        verdict = where.run(seed)
        _say(verdict)
        if verdict.trouble:
            failed.append(seed)
            _say(*verdict.faults, *verdict.trouble)
            _say(f"again: python -m tests.faults --seeds {seed} --setup {setup}")
    _say(f"{len(seeds) - len(failed)} of {len(seeds)} builds were good; failed: {failed or 'none'}")
    return 1 if failed else 0


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _say(*lines: object) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    program.run(partial(main, sys.argv[1:]))
