"""What is told of the hosts of build servers, and that they are found by their names."""

from itertools import count

import pytest

from sccachedist.outcomes import SERVER_PHASES, TimedPhase
from sccachedist.scheduler.farm_views import SHOWN_SECS
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, Health, ServerReport
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.messages import JobId, JobState
from tests.scheduler.farms import CLANG, GCC, A, B, assigned, heartbeat
from tests.scheduler.test_farm_routes import ANN, Farm, ended, known, summary

__all__ = ["known"]
NUMBERS = count()


def tell(farm: Farm, server: ServerId, host: HostFacts) -> None:
    """Have a build server tell of its host; who looks next sees that."""
    report = ServerReport(next(NUMBERS), 5, Availability.OPEN, (), (), health=Health(), host=host)
    farm.core.heartbeat(server, heartbeat(), farm.clock.seconds(), report)
    farm.clock.advance(SHOWN_SECS * 2)


def test_a_host(known: Farm) -> None:
    """It is shown and rounded, and its uploads stand beside their toolchains; what is not told is null."""
    upload = (("0e" * 32, 9),)
    tell(known, B, HostFacts("build2", 183, 1290, 5 << 30, (8 << 30) + 5, 7 << 30, None, upload))
    first, second = known.get("servers")["servers"]
    assert (first["name"], first["machine"], first["load"], first["disk_free"]["cache"]) == (None,) * 4
    assert (second["name"], second["machine"], second["load"]) == ("build2", "aarch64", 1.3)
    assert (second["memory_free"], second["memory_total"]) == (5 << 30, 8 << 30)
    assert (second["disk_free"], second["speed"]) == ({"cache": 7 << 30, "build": None}, None)
    assert second["uploads"] == [{"toolchain": "0e" * 32, "bytes": 9}]
    uploads = {row["toolchain"]: row["uploads"] for row in known.get("toolchains")["toolchains"]}
    assert uploads == {"0e" * 32: [{"server": str(B), "bytes": 9}], GCC: [], CLANG: []}


def learns(farm: Farm, server: ServerId, toolchains: dict[str, int], since: int = 0) -> None:
    """Have a build server tell all toolchains that it has, or those that came since a change."""
    host, news = HostFacts(sizes=tuple(toolchains.values())), tuple(toolchains)
    report = ServerReport(next(NUMBERS), 5, Availability.OPEN, (), news, (), since, since, health=Health(), host=host)
    farm.core.heartbeat(server, heartbeat(), farm.clock.seconds(), report)


def sizes(farm: Farm) -> dict[str, int | None]:
    return {row["toolchain"]: row["size"] for row in farm.get("toolchains")["toolchains"]}


def test_sizes(known: Farm) -> None:
    """The size of a toolchain is what the first build server says that has it, as long as one has it."""
    learns(known, A, {GCC: 31, CLANG: 42})
    learns(known, B, {GCC: 7})
    assert sizes(known) == {GCC: 31, CLANG: 42}
    learns(known, A, {})
    assert sizes(known) == {GCC: 31, CLANG: None}
    learns(known, B, {})
    learns(known, B, {CLANG: 42}, since=9)  # an earlier change is missing: all will be told again
    learns(known, B, {GCC: 7})
    assert sizes(known) == {GCC: 7, CLANG: None}


def test_speed(known: Farm) -> None:
    """Build servers that compiled with the same toolchain are compared, now and then."""

    def compiles(server: ServerId, secs: int, times: int) -> None:
        phases = tuple(secs * 10**6 if phase is TimedPhase.COMPILE else 0 for phase in SERVER_PHASES)
        for number in range(times):
            known.records(ended(10, job_id=JobId(number), server_id=server, summary=summary(phases_us=phases)))

    compiles(A, 1, 10)
    compiles(B, 2, 20)
    for _ in range(2):
        assert [row["speed"] for row in known.get("servers")["servers"]] == [2.0, 1.0]
        compiles(A, 4, 50)


@pytest.mark.parametrize("path", ["jobs", "usage", "trace"])
def test_the_name_of_a_host(known: Farm, path: str) -> None:
    """It stands for the addresses of its build servers."""
    assert known.get(path, server="build2") != known.get(path, server=str(B))
    tell(known, B, HostFacts("build2"))
    assert known.get(path, server="build2") == known.get(path, server=str(B))


@pytest.mark.parametrize("name", [str(A), str(A.host)])
def test_the_address_of_another(known: Farm, name: str) -> None:
    """A host whose name is the address of another build server is not taken for that."""
    before = known.ids(server=name)
    tell(known, B, HostFacts(name))
    assert known.ids(server=name) == before


def test_running_there(known: Farm) -> None:
    """Jobs that are not over are found by the name, too."""
    reserved = known.core.reserve(10.0, toolchain=GCC, client=ANN)
    known.core.confirm(reserved, assigned(), 10.0)
    host = HostFacts("build1")
    report = ServerReport(1, 5, Availability.OPEN, ((reserved.job_id, JobState.READY),), (), health=Health(), host=host)
    known.core.heartbeat(reserved.server_id, heartbeat(), 10.0, report)
    found = known.get("jobs", server="build1")["running"]
    assert found == known.get("jobs", server=str(reserved.server_id))["running"] != []
