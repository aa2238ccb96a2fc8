"""What tests of builders share."""

import shutil
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.builders.farms import Farm, async_fixture, make_farm, the_reactor
from tests.support.docker_engine import DockerEngine, docker_engine


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    """A Docker engine for all tests."""
    with docker_engine() as running:
        yield running


@async_fixture()
async def fresh() -> AsyncIterator[Farm]:
    """A farm that is not started and may be broken."""
    made = make_farm(the_reactor(), "itself")
    yield made
    await made.builder.stop()
    shutil.rmtree(made.place)
