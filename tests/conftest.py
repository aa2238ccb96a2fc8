"""What holds for every farm that any test starts: when it ends, nothing of ours has given one of its secrets away.

And how the tests themselves are loaded.
"""

import gc
import os
from collections.abc import Generator, Iterator

import hypothesis
import pytest

from farmkit.farm import Farm
from tests.support.secrecy import daemons_of, given_away, secrets_of, shown_by_processes

# How long examples take is the machine's matter: others run beside them.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("suite")

# The modes of files that tests make are those of most systems, not those that are set for the user of the suite.
os.umask(0o022)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without searches for garbage, which take a third of the time: ten thousand tests and modules stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True, scope="session")
def farms_keep_their_secrets() -> Iterator[None]:
    """Search the logs, the command lines and the environments of a farm's daemons when it is stopped."""
    stop = Farm.stop

    def search_and_stop(farm: Farm) -> None:
        texts: dict[str, bytes] = {}
        for daemon in daemons_of(farm):
            texts |= shown_by_processes(daemon)
        stop(farm)
        texts |= {daemon.log.name: daemon.log.read_bytes() for daemon in daemons_of(farm)}
        found = given_away(secrets_of(farm), texts)
        assert not found, found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Farm, "stop", search_and_stop)
        yield
