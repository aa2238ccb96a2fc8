"""``make compat``: every cell of the matrix, several at a time; ends with status 0 if all of them are good.

``python -m tests.compat --gateway`` has a gateway in the place of our build server, and writes no table.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from farmkit import program
from farmkit.published_client import share_toolchains
from tests.compat.cells import Cell, Failed, Role, Seen, run_cell
from tests.compat.releases import NEWEST, RELEASES
from tests.compat.table import PAGE, write_table

_AT_ONCE = 5  # for two CPUs: a third of the cells spend most of their time waiting for a heartbeat


def main(arguments: Sequence[str]) -> int:
    """Run it; the result is the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.compat")
    parser.add_argument("--gateway", action="store_true", help="with a gateway, and without a table")
    gateway = parser.parse_args(arguments).gateway
    roles = [role for role in Role if not gateway or role is not Role.SERVER]
    cells = [Cell(release, role, gateway) for release in RELEASES for role in roles]
    with tempfile.TemporaryDirectory(prefix="sccachedist-compat-", ignore_cleanup_errors=True) as name:
        work, packed = Path(name), Path(name, "toolchains")
        _seen_in(work, Cell(NEWEST, Role.SCHEDULER, gateway), packed)  # packs what the newest client sends everywhere
        with ThreadPoolExecutor(_AT_ONCE) as at_once:
            seen = dict(zip(cells, at_once.map(partial(_shared, work, packed), cells), strict=True))
    if not gateway:
        write_table(PAGE, {cell: str(outcome) for cell, outcome in seen.items()})
    return 1 if any(isinstance(outcome, Failed) for outcome in seen.values()) else 0


def _shared(work: Path, packed: Path, cell: Cell) -> Seen | Failed:
    """What a cell came to whose client has packed toolchains, if it is the newest, or packs its own."""
    with tempfile.TemporaryDirectory(dir=work, ignore_cleanup_errors=True) as name:
        toolchains = Path(name, "toolchains")
        if cell.role is not Role.CLIENT:
            share_toolchains(packed, toolchains)
        return _seen_in(Path(name), cell, toolchains)


def _seen_in(work: Path, cell: Cell, toolchains: Path) -> Seen | Failed:
    """What a cell came to, after a line about it, and all of its trouble if it failed."""
    started = time.monotonic()
    seen = run_cell(cell, work / "cell", toolchains)
    trouble = f"\n{seen.what}" if isinstance(seen, Failed) else ""
    sys.stdout.write(f"{cell!s:<38} {seen!s:<30} {time.monotonic() - started:4.0f} s{trouble}\n")
    sys.stdout.flush()
    return seen


if __name__ == "__main__":
    program.run(partial(main, sys.argv[1:]))
