"""How much a container may write, and when it is looked at."""

import attrs
import pytest

from sccachedist.errors import LimitExceeded
from sccachedist.sandbox.docker.job import Watch


@attrs.define
class Containers:
    """Containers by name and how much they have written; counts the looks."""

    written: dict[str, int]
    seconds: float = 0.0
    looks: int = 0

    def written_by(self, name: str) -> int:
        self.looks += 1
        return self.written[name]

    def clock(self) -> float:
        return self.seconds

    def watch(self, name: str, limit: int) -> Watch:
        return Watch(name, limit, self.written_by, self.clock)


def test_one_that_keeps_within_its_limit() -> None:
    """It is looked at every other second, even if asked more often; a short compile never is."""
    containers = Containers({"job": 100})
    watch = containers.watch("job", 100)
    for seconds, looks in [(0.5, 0), (1.9, 0), (2.0, 1), (2.5, 1), (3.9, 1), (4.0, 2)]:
        containers.seconds = seconds
        watch()
        assert containers.looks == looks


def test_one_that_writes_too_much() -> None:
    """The limit is named that the operator can change."""
    containers = Containers({"job": 101}, seconds=1000.0)
    watch = containers.watch("job", 100)
    containers.seconds += 2.0
    with pytest.raises(LimitExceeded) as caught:
        watch()
    assert caught.value.limit == "sandbox.scratch_bytes"
