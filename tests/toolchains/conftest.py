"""A stock of toolchains for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.toolchains.stocks import Stock


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Stock]:
    stock = Stock(tmp_path / "cache")
    yield stock
    stock.close()
