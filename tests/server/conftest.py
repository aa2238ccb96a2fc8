"""A stock of toolchains for each test, or a build server around one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.servers import Host
from tests.toolchains.conftest import stock

__all__ = ["stock"]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.stock.close()
