"""A gateway for each test."""

from pathlib import Path

import pytest

from sccachedist.gateway import answer_body
from tests.gateway.gateways import Gateway


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


@pytest.fixture(params=[True, False], ids=["in memory", "in a file"])
def in_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether an answer is small enough to stay in memory until it is whole."""
    if not request.param:
        monkeypatch.setattr(answer_body, "IN_MEMORY", 0)
    return bool(request.param)
