"""A program that tries to get out of the overlay builder's sandbox, and the filter that helps to keep it in."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sccachedist.wire.messages import CompileCommand
from scripts.seccomp_filters import FILTERS, MACHINES, seccomp_filter
from tests.builders.archives import busybox_toolchain, file
from tests.builders.farms import (
    IDENTITIES,
    TOOLCHAIN,
    Farm,
    async_fixture,
    in_reactor,
    make_farm,
    started,
    the_reactor,
)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filters_are_what_is_written_of_them(machine: str) -> None:
    """What is shipped is what the program makes, to the byte."""
    assert (FILTERS / f"{machine}.bpf").read_bytes() == seccomp_filter(machine)


@async_fixture(scope="module", params=IDENTITIES)
async def farm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Farm]:
    program = tmp_path_factory.mktemp("escapes") / "escapes"
    source = Path(__file__).with_name("escapes.c")
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Werror", "-o", program, source], check=True)
    made = await started(make_farm(the_reactor(), request.param), request.param)
    made.archive(TOOLCHAIN).write_bytes(busybox_toolchain(file("bin/escapes", program.read_bytes(), 0o755)))
    yield made
    await made.builder.stop()
    shutil.rmtree(made.place)


@pytest.mark.functional
@in_reactor
async def test_nothing_gets_out(farm: Farm) -> None:
    """Every escape is tried and every one fails: calls, sockets, capabilities, what ``/proc`` shows, other roots."""
    command = CompileCommand("/bin/escapes", (), (("ONLY", "this"),), "/work")
    result = await farm.compile("", command=command)
    assert result.output.stdout.decode().splitlines() == ["tried everything"], result.output
