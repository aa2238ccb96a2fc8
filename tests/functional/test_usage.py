"""What a job took, as a build server notes it: a compile by the published client on a real farm."""

import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER
from farmkit.processes import Command, wait_until
from farmkit.published_client import Client
from tests.functional.conftest import running_farm

pytestmark = pytest.mark.functional

NOTED = re.compile(
    r"job [0-9]+ of .* took ([0-9.]+) s: ([0-9.]+) s to compile, ([0-9.]+) s of CPU, ([0-9]+) MiB, sandbox (.*)"
)
#: A compile that takes some tenths of a second, and more memory than a worker has.
SOURCE = "#define T(...) " + 8 * "__VA_ARGS__ " + "\nint x[] = {T(T(T(T(T(T(1,))))))};\n"
COMMAND = ("gcc", "-c", "x.c", "-o", "x.o")


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """A farm whose build server logs everything."""

    def debugging(config: Path) -> Command:
        command = OUR_SERVER(config)
        return attrs.evolve(command, environment={**command.environment, "SCCACHE_LOG": "debug"})

    (tmp_path / "farm").mkdir()
    yield from running_farm(Farm(tmp_path / "farm", OUR_SCHEDULER, debugging))


def test_a_compile_is_noted(farm: Farm, client: Client, tmp_path: Path) -> None:
    """One line a job: where the time went, and the CPU and memory of the compiler."""
    (tmp_path / "x.c").write_text(SOURCE)
    assert client.compiling(COMMAND, tmp_path).run().returncode == 0
    assert client.statistics().total_remote == 1

    def noted() -> list[tuple[str, ...]]:
        return NOTED.findall(farm.server.log.read_text())

    wait_until(lambda: len(noted()) == 1, 10, "the job is noted")
    ((whole, compiling, cpu, memory, sandbox),) = noted()
    assert 0 < float(compiling) <= float(whole)
    # Two programs, one after the other; and bubblewrap, which may have been at work before.
    assert 0.05 < float(cpu) < float(compiling) + 0.1
    assert 30 < int(memory) < 1000
    assert sandbox in ("stood ready", "made for it")
