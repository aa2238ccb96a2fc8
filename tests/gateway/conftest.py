"""A gateway for each test."""

from pathlib import Path

import pytest

from tests.gateway.gateways import Gateway


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)
