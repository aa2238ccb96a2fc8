"""The table of series keeps the customs of Prometheus."""

import re

import pytest

from sccachedist.metrics.series import SCHEDULER, SERVERS, Kind, Series
from sccachedist.metrics.server_series import SERVER
from sccachedist.metrics.worker_series import WORKER

ALL = list({row.name: row for row in (*SCHEDULER, *SERVER, *SERVERS, *WORKER)}.values())

each_row = pytest.mark.parametrize("row", ALL, ids=[row.name for row in ALL])


@each_row
def test_a_row(row: Series) -> None:
    """A counter's name ends with _total, a histogram has buckets in order, and the meaning is a sentence."""
    assert re.fullmatch(r"sccachedist_[a-z_]+", row.name)
    assert row.name.endswith("_total") is (row.kind is Kind.COUNTER)
    assert bool(row.buckets) is (row.kind is Kind.HISTOGRAM)
    assert list(row.buckets) == sorted(set(row.buckets))
    assert re.fullmatch(r"[A-Z0-9][^\n\\]+\.", row.about)
    for label, values in row.labels.items():
        assert label not in ("le", "job", "instance")
        assert len(values) == len(set(values))


@pytest.mark.parametrize("rows", [SCHEDULER, SERVER, SERVERS, WORKER])
def test_names_do_not_clash(rows: tuple[Series, ...]) -> None:
    """No name is there twice in one exposition, nor a gauge with the name that a counter has without _total."""
    names = [row.name.removesuffix("_total") for row in rows]
    assert len(names) == len(set(names))


def test_roles_agree() -> None:
    """What both roles export has the same meaning in both."""
    scheduler, server = ({row.name: (row.kind, row.about) for row in rows} for rows in (SCHEDULER, SERVER))
    common = scheduler.keys() & server.keys()
    assert len(common) > 8
    assert all(scheduler[name] == server[name] for name in common)
    assert all(re.match("sccachedist_scheduler_", name) for name in scheduler.keys() - common)
    assert all(re.match("sccachedist_(server|gateway)_", name) for name in server.keys() - common)
