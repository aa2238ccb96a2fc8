"""``make compat``: every cell of the matrix, several at a time; ends with status 0 if all of them are good.

``python -m tests.compat --gateway`` has a gateway in the place of our build server, and writes no table.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from farmkit import program
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
        seen_in = partial(_seen_in, Path(name))
        seen_in(Cell(NEWEST, Role.SCHEDULER, gateway))  # packs what the newest client sends in all its cells
        with ThreadPoolExecutor(_AT_ONCE) as at_once:
            seen = dict(zip(cells, at_once.map(seen_in, cells), strict=True))
    if not gateway:
        write_table(PAGE, {cell: str(outcome) for cell, outcome in seen.items()})
    return 1 if any(isinstance(outcome, Failed) for outcome in seen.values()) else 0


def _seen_in(work: Path, cell: Cell) -> Seen | Failed:
    """What a cell came to, after a line about it, and all of its trouble if it failed."""
    started = time.monotonic()
    folder = work / f"{cell.release}-{cell.role.name}"
    seen = run_cell(cell, folder, (folder if cell.role is Role.CLIENT else work) / "toolchains")
    trouble = f"\n{seen.what}" if isinstance(seen, Failed) else ""
    sys.stdout.write(f"{cell!s:<38} {seen!s:<30} {time.monotonic() - started:4.0f} s{trouble}\n")
    sys.stdout.flush()
    shutil.rmtree(folder, ignore_errors=True)
    return seen


if __name__ == "__main__":
    program.run(partial(main, sys.argv[1:]))
