"""The table of a benchmark, and the raw numbers beside it."""

from pathlib import Path

from bench.cases import CASES
from bench.quantities import Bar, Quantity
from bench.report import keep, kept, lines, result_of, table

ROWS = [
    Quantity("p50", "ms", (20.0, 40.0, 30.0), (10.0, 15.0, 12.0), Bar(0.75)),
    Quantity("growth", "MiB", (), (40.0,), Bar(32, of_ours=True)),
]


def test_a_row_has_medians_spreads_ratio_and_verdict() -> None:
    """A reader sees at once what passed."""
    text = table([result_of(CASES[0], ROWS)])
    assert "     - 30 ms (20 to 40)\n     - 12 ms (10 to 15)\n     - 0.40\n     - ≤ 0.75 ✓\n" in text
    assert "     - -\n     - 40 MiB\n     - -\n     - ≤ 32 (ours) ✗\n" in text


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    """A case that is measured alone stands in one table with those that were measured before."""
    results = [result_of(case, ROWS) for case in CASES[:2]]
    for result in results:
        keep(result, tmp_path)
    assert kept(CASES, tmp_path) == results


def test_the_terminal_gets_one_line_a_row() -> None:
    """As short as can be."""
    first, second = lines(result_of(CASES[0], ROWS)).splitlines()
    assert first == "job-latency: p50: 30 ms (20 to 40) / 12 ms (10 to 15) = 0.40 ≤ 0.75 ✓"
    assert second.endswith("= - ≤ 32 (ours) ✗")


def test_every_case_has_a_name_of_its_own() -> None:
    """Their files would overwrite each other."""
    assert len({case.name for case in CASES}) == len(CASES)
