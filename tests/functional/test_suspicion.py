"""Failed compiles by real compilers, and whether their users read of them from the farm or from home."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding
from farmkit.processes import Command, inherited
from farmkit.published_client import Client, Statistics
from tests.functional.conftest import running_farm

pytestmark = pytest.mark.functional

SETUPS = {
    "suspicious": {"policy": 'on_failure = "suspicious"'},
    "verify": {},
    "report": {"policy": 'on_failure = "report"'},
}
COMPILERS = ("gcc", "clang")
_EMBEDS = 'asm(".incbin \\"data.bin\\"");\nint x;\n'
_MISTAKE = "int twice(int x)\n{\n    return 2 * y;\n}\n"


@pytest.fixture(scope="module", params=SETUPS)
def farm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """One farm for each policy."""
    launch = adding(OUR_SERVER, **SETUPS[request.param])
    farm = Farm(tmp_path_factory.mktemp(request.param.replace(" ", "-")), OUR_SCHEDULER, launch)
    yield from running_farm(farm)


@pytest.mark.field(1)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_compile_fails_as_it_fails_at_home(
    farm: Farm, client: Client, tmp_path: Path, request: pytest.FixtureRequest, compiler: str
) -> None:
    """A mistake is the user's under every policy, and reported from where the policy says."""
    (tmp_path / "mistake.c").write_text(_MISTAKE)
    command = (compiler, "-c", "mistake.c", "-o", "mistake.o")
    ended = client.compiling(command, tmp_path).run(300)
    assert ended.returncode == Command(command, inherited(), tmp_path).run().returncode == 1
    assert "mistake.c:3:16: error: " in ended.stderr
    remote = {str(farm.server_id): 1}
    # One that failed at home too is not counted as an error of the farm.
    assert client.statistics() == Statistics({} if setup_of(request) == "verify" else remote, errors=0)


@pytest.mark.field(1)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_file_that_is_not_sent(client: Client, tmp_path: Path, request: pytest.FixtureRequest, compiler: str) -> None:
    """What the assembler alone reads stays at home: the compile succeeds there, unless all failures are reported."""
    (tmp_path / "embeds.c").write_text(_EMBEDS)
    (tmp_path / "data.bin").write_bytes(b"data")
    ended = client.compiling((compiler, "-c", "embeds.c", "-o", "embeds.o"), tmp_path).run(300)
    assert (ended.returncode == 0) == (setup_of(request) != "report"), ended.stderr
    assert (tmp_path / "embeds.o").exists() == (ended.returncode == 0)


@pytest.mark.field(1)
def test_a_compile_without_the_memory_that_it_needs(tmp_path: Path, toolchains: Path) -> None:
    """The limit of a job is no user's problem: an object that is larger than it is made at home."""
    (tmp_path / "farm").mkdir()
    launch = adding(OUR_SERVER, limits="job_memory_bytes = 48_000_000")
    (tmp_path / "large.c").write_text("int large[16 << 20] = {1};\n")
    with (
        Farm(tmp_path / "farm", OUR_SCHEDULER, launch) as farm,
        Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains) as client,
    ):
        ended = client.compiling(("gcc", "-c", "large.c", "-o", "large.o"), tmp_path).run(300)
        assert ended.returncode == 0, ended
        assert client.statistics() == Statistics({}, errors=1)
    log = farm.server.log.read_text()  # what a job writes takes memory too, and may be refused it first
    assert "(limit: job_memory_bytes)" in log or "No space left on device" in log


def test_a_header_that_is_nowhere(farm: Farm, client: Client, tmp_path: Path) -> None:
    """Preprocessing fails at home, under every policy: no compile is sent."""
    (tmp_path / "lost.c").write_text('#include "missing.h"\n')
    ended = client.compiling(("gcc", "-c", "lost.c", "-o", "lost.o"), tmp_path).run()
    assert ended.returncode == 1
    assert "lost.c:1:10: fatal error: missing.h: No such file or directory" in ended.stderr
    assert client.statistics() == Statistics({}, errors=0)


def setup_of(request: pytest.FixtureRequest) -> str:
    """Which set-up a test runs in."""
    return str(request.node.callspec.params["farm"])
