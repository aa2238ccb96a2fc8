"""``python -m bench [--quick] [--check] [--against CHECKOUT] [--into FOLDER] [CASE ...]``: measure and write.

What is written: plots, numbers, and a table of all cases that were ever measured into the folder. Ours is compared with
the published daemons, or with ours of an older checkout, and no number may be worse by more than 3 % then. How a case
measures is not known here.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bench.cases import CASES
from bench.plots import plot
from bench.quantities import no_worse
from bench.report import Result, keep, kept, lines, result_of, table, verdict
from bench.run import Case, NotMeasuredError, Run
from bench.sides import PUBLISHED, before
from farmkit import program
from farmkit.launch import CHECKOUT

#: A check fails if a number is worse than its bar by more than half.
SLACK = 1.5


def main() -> int:
    """Measure. The status is 1 if a case could not be measured, or ``--check`` finds a number far from its bar."""
    arguments = _arguments()
    arguments.into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        other = before(arguments.against.resolve()) if arguments.against else PUBLISHED
        run = Run(arguments.archives or Path(folder), arguments.quick, other)
        run.folder.mkdir(parents=True, exist_ok=True)
        found = [_measured(case, run, arguments.into) for case in _chosen(arguments)]
        results = [result for result in found if result is not None]
    (arguments.into / "table.rst").write_text(table(kept(CASES, arguments.into)))
    is_bad = len(results) < len(found) or (arguments.check and not _well_enough(results))
    return int(is_bad)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench")
    names = [case.name for case in CASES]
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and only cases that take seconds")
    parser.add_argument("--check", action="store_true", help="fail when a number is worse than its bar by half")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="compare with an older checkout, set up there")
    parser.add_argument("--into", type=Path, help="a folder for the results, in place of doc/performance")
    parser.add_argument("--archives", type=Path, help="a folder for packed toolchains, kept for the next run")
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - set(names):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    arguments.into = arguments.into or CHECKOUT.joinpath(
        *(("bench", "_build") if arguments.against else ("doc", "performance"))
    )
    return arguments


def _chosen(arguments: argparse.Namespace) -> list[Case]:
    if arguments.cases:
        return [case for case in CASES if case.name in arguments.cases]
    return [case for case in CASES if case.is_quick or not arguments.quick]


def _measured(case: Case, run: Run, folder: Path) -> Result | None:
    sys.stdout.write(f"{case.name}: {case.title}\n")
    sys.stdout.flush()
    began = time.monotonic()
    try:
        rows = case.measure(run)
    except NotMeasuredError as error:
        sys.stderr.write(f"\n{case.name} was not measured: {error}\n")
        return None
    result = result_of(case, map(no_worse, rows) if run.other is not PUBLISHED else rows)
    keep(result, folder)
    plot(result, folder)
    sys.stdout.write(f"{lines(result)}\n{case.name} took {time.monotonic() - began:.0f} s\n")
    sys.stdout.flush()
    return result


def _well_enough(results: list[Result]) -> bool:
    bad = [(result, row) for result in results for row in result.rows if not row.passes(SLACK)]
    for result, row in bad:
        sys.stderr.write(f"{result.name}: {row.name} is {row.value:.2f}, far from {verdict(row)}\n")
    return not bad


if __name__ == "__main__":
    program.run(main)
