"""A role for each test."""

from pathlib import Path

import pytest

from farmkit.memory_http import Browser
from tests.web.roles import Role, visited


@pytest.fixture
def visit(tmp_path: Path) -> tuple[Role, Browser]:
    return visited(tmp_path)


@pytest.fixture
def role(visit: tuple[Role, Browser]) -> Role:
    return visit[0]


@pytest.fixture
def browser(visit: tuple[Role, Browser]) -> Browser:
    return visit[1]
