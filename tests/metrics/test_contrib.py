"""What is shipped for Prometheus and Grafana names series that there are, pages that there are, and no thing twice."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from sccachedist.metrics.series import SCHEDULER, SERVERS, Kind
from sccachedist.metrics.server_series import SERVER
from sccachedist.metrics.worker_series import WORKER

CHECKOUT = Path(__file__).parents[2]
ALERTS, CASES = ((CHECKOUT / "contrib/prometheus" / name).read_text() for name in ("alerts.yml", "alerts_test.yml"))
BOARDS = {path.name: json.loads(path.read_text()) for path in sorted((CHECKOUT / "contrib/grafana").glob("*.json"))}
ROWS = {row.name: row for row in (*SCHEDULER, *SERVER, *SERVERS, *WORKER)}
#: The names under which the samples of a series are asked for.
SAMPLES = {name for name, row in ROWS.items() if row.kind is not Kind.HISTOGRAM} | {
    f"{name}_{part}" for name, row in ROWS.items() if row.kind is Kind.HISTOGRAM for part in ("bucket", "sum", "count")
}
SELECTED = re.compile(r"(sccachedist_\w+)\{([^}]*)\}")
#: What Prometheus and the boards' variables add to the labels of a series.
ADDED = {"job", "instance", "le"}

each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def expressions(board: dict[str, Any]) -> list[str]:
    """All that a board asks Prometheus."""
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return asked + [annotation["expr"] for annotation in board["annotations"]["list"]]


def check_names(text: str) -> None:
    """Each series that is named is one of the table, by labels and values that it has."""
    assert set(re.findall(r"\bsccachedist_\w+", text)) <= SAMPLES
    for name, selectors in SELECTED.findall(text):
        row = ROWS.get(name) or ROWS[name.rpartition("_")[0]]
        for label, values in re.findall(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"', selectors):
            if label not in ADDED:
                assert set(values.split("|")) <= set(row.labels[label]), (name, label, values)


def test_alerts() -> None:
    """Each alert has a severity, a case that fires it and one that does not, and a runbook that is there."""
    check_names(ALERTS)
    names = re.findall(r"- alert: Sccachedist(\w+)\n", ALERTS)
    assert len(names) == len(set(names)) > 15
    assert ALERTS.count("labels: {severity: ") == ALERTS.count("summary: ") == len(names)
    assert re.findall(r"runbook_url: operations\.html#(\w+)\n", ALERTS) == [name.lower() for name in names]
    page = (CHECKOUT / "doc/operations.rst").read_text()
    for name in names:
        assert f".. _{name.lower()}:\n\n**Sccachedist{name}**\n" in page
        assert len(re.findall(rf"alertname: Sccachedist{name}\b", CASES)) >= 2


@each_board
def test_boards(board: dict[str, Any]) -> None:
    """Panels have numbers of their own, do not overlap, and fit on the screen; no name of a job is fixed."""
    check_names("\n".join([*expressions(board), *(str(row.get("query")) for row in board["templating"]["list"])]))
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["targets"] and panel["title"] for panel in panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    variables = {variable["name"] for variable in board["templating"]["list"]} | {"__rate_interval"}
    for expression in expressions(board):
        assert set(re.findall(r"\$(\w+)", expression)) <= variables
        assert re.search(r'job=~"\$\w+"', expression)
    assert "sccachedist-" not in "".join(expressions(board))


def test_boards_are_two() -> None:
    """Each under an id of its own."""
    assert list(BOARDS) == ["build-servers.json", "farm.json"]
    assert len({board["uid"] for board in BOARDS.values()}) == 2
