"""Who used how much."""

import pytest

from sccachedist.records.usage import UNKNOWN, usage_of
from tests.records.rows import job_row, refused_row


def test_usage() -> None:
    """The one with the most comes first; who waited in vain has waited, and had no slot."""
    rows = [
        job_row(client="10.0.0.1", ended=1003.0),
        job_row(client="10.0.0.2", phases={"queue_wait": 4.0, "compile": 6.0}, ended=1010.0, cpu_user=None),
        job_row(client="10.0.0.1", outcome="sent_local", reason="disk"),
        refused_row(client="10.0.0.2"),
        job_row(client=None, ended=999.0),
    ]
    second, first, unknown = usage_of(rows, "client")
    assert (first["name"], first["jobs"]) == ("10.0.0.1", 2)
    assert first["slot_secs"] == pytest.approx(4.0)
    assert first["cpu_secs"] == pytest.approx(1.2)
    assert first["outcomes"] == {"compiled": 1, "sent_local": 1}
    assert second["slot_secs"] == pytest.approx(6.0)
    assert second["wait_secs"] == pytest.approx(64.0)
    assert second["cpu_secs"] == pytest.approx(0.1)
    assert (unknown["name"], unknown["slot_secs"]) == (UNKNOWN, 0.0)


def test_by() -> None:
    """Whatever records have in common."""
    assert [row["name"] for row in usage_of([job_row(), job_row(compiler="rustc")], "compiler")] == ["gcc", "rustc"]
    assert [row["jobs"] for row in usage_of([job_row(), refused_row()], "server")] == [1, 1]
    assert usage_of([], "toolchain") == []
