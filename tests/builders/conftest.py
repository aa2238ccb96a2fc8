"""What tests of builders share."""

from collections.abc import Iterator

import pytest

from tests.support.docker_engine import DockerEngine, docker_engine


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    """A Docker engine for all tests."""
    with docker_engine() as running:
        yield running
