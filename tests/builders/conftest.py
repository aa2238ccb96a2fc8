"""What tests of builders share."""

import shutil
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.builders.farms import IDENTITIES, Farm, async_fixture, make_farm, started, the_reactor
from tests.support.docker_engine import DockerEngine, docker_engine


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    """A Docker engine for all tests."""
    with docker_engine() as running:
        yield running


@async_fixture(scope="module", params=IDENTITIES)
async def farm(request: pytest.FixtureRequest) -> AsyncIterator[Farm]:
    """The overlay builder's, as each user. Modules about other builders have their own."""
    made = await started(make_farm(the_reactor(), request.param), request.param)
    yield made
    await made.builder.stop()
    shutil.rmtree(made.place)


@async_fixture()
async def fresh() -> AsyncIterator[Farm]:
    """A farm that is not started and may be broken."""
    made = make_farm(the_reactor(), "itself")
    yield made
    await made.builder.stop()
    shutil.rmtree(made.place)
