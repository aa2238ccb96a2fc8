"""Row 40 at the port for metrics, which knows no token: what it shows takes milliseconds to make."""

import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from farmkit.farm import Farm
from farmkit.processes import LOOPBACK, free_port
from sccachedist.metrics.registry import MOST_PER_SEC
from tests.functional.conftest import running_farm

#: Many more requests than texts that are made in the time that they take.
REQUESTS = 600


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    """Where each role shows its metrics."""
    return {"scheduler": free_port(), "server": free_port()}


@pytest.fixture(scope="module")
def farm(ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm that anybody may read the metrics of."""
    tables = {role: f'[metrics]\naddress = "{LOOPBACK}:{port}"\n' for role, port in ports.items()}
    folder = tmp_path_factory.mktemp("farm")
    yield from running_farm(Farm(folder, scheduler_settings=tables["scheduler"], server_settings=tables["server"]))


@pytest.mark.parametrize("role", ["scheduler", "server"])
def test_row_40_metrics_without_end(farm: Farm, ports: dict[str, int], role: str) -> None:
    """All requests are answered, and no more texts are made than a monitoring system could want."""
    connection, began, texts = HTTPConnection(LOOPBACK, ports[role], timeout=30), time.monotonic(), set()
    for number in range(REQUESTS):
        connection.request("GET", "/metrics", headers={"Accept": "" if number % 2 else "text/plain;version=0.0.4"})
        answer = connection.getresponse()
        assert answer.status == 200
        texts.add(answer.read())
    connection.close()
    assert 1 < len(texts) <= MOST_PER_SEC * (time.monotonic() - began + 2)
