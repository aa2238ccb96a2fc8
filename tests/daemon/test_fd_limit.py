"""As many descriptors as the limits may take, or limits that fit."""

import resource

import pytest
from twisted.logger import capturedLogs

from sccachedist.config import ConnectionLimits
from sccachedist.daemon import fd_limit as descriptors
from sccachedist.daemon.fd_limit import RESERVED, affordable


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, int]]:
    """What a process may open, for these tests alone."""
    limits = {"now": (1024, 4096), "most": (4096, 4096)}

    def setrlimit(_: int, wanted: tuple[int, int]) -> None:
        if wanted[1] > limits["most"][1]:
            raise ValueError
        limits["now"] = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    monkeypatch.setattr(descriptors, "_most_of_the_system", lambda: 100_000)
    return limits


def test_raised(system: dict[str, tuple[int, int]]) -> None:
    """What the process may get without asking anybody is enough."""
    assert affordable(ConnectionLimits(connections=2000)).connections == 2000
    assert system["now"] == (2000 + RESERVED, 4096)


def test_enough(system: dict[str, tuple[int, int]]) -> None:
    """Nothing changes where there is enough."""
    system["now"] = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert affordable(ConnectionLimits()) == ConnectionLimits()
    assert system["now"] == (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def test_raised_by_root(system: dict[str, tuple[int, int]]) -> None:
    """Root gets more than it was given, as far as the system goes."""
    system["most"] = (10**6, 10**6)
    assert affordable(ConnectionLimits(connections=50_000)).connections == 50_000
    assert system["now"] == (50_000 + RESERVED, 50_000 + RESERVED)
    assert affordable(ConnectionLimits(connections=10**6)).connections == 100_000 - RESERVED


def test_too_few(system: dict[str, tuple[int, int]]) -> None:
    """Where there are not as many as the limits say, fewer connections are taken, and the log says why."""
    with capturedLogs() as events:
        assert affordable(ConnectionLimits(connections=50_000)).connections == 4096 - RESERVED
    assert [event["connections"] for event in events] == [4096 - RESERVED]
    assert system["now"] == (4096, 4096)
