"""Compiles that do not succeed: what is the code's fault reaches the user, what is ours never does."""

import shutil
from pathlib import Path

import pytest

from farmkit.busybox_jobs import write_toolchain
from farmkit.farm import Farm
from farmkit.processes import Command, inherited
from farmkit.projects import C, write_project
from farmkit.published_client import Client, Override, Statistics
from tests.support.slots import all_slots_free

pytestmark = pytest.mark.functional

_MISTAKE = "#include <stdio.h>\n\nint twice(int x)\n{\n    return 2 * y;\n}\n"


@pytest.mark.field(2)
def test_an_error_in_the_source_is_the_compilers_own(client: Client, tmp_path: Path) -> None:
    """The user reads the compiler's message and gets its exit status, for it has failed at home too."""
    (tmp_path / "mistake.c").write_text(_MISTAKE)
    command = ("gcc", "-c", "mistake.c", "-o", "mistake.o")
    remote = client.compiling(command, tmp_path).run()
    local = Command(command, inherited(), tmp_path).run()
    assert remote.returncode == local.returncode == 1
    assert remote.stderr.endswith(local.stderr)
    assert client.statistics() == Statistics({}, errors=0)
    assert "error: " in local.stderr


@pytest.mark.field(1)
@pytest.mark.parametrize("executable", ["/bin/killed", "/bin/missing"])
def test_a_compiler_that_cannot_do_its_work_is_no_compile_error(farm: Farm, tmp_path: Path, executable: str) -> None:
    """Killed by a signal in the sandbox, or not there at all: the client compiles locally and the build goes on."""
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {"/bin/killed": "kill -SEGV $$"})
    gcc = Override(Path(shutil.which("gcc") or ""), archive, executable)
    project = write_project(tmp_path / "project", C, 2)
    with Client(tmp_path / "client", farm.scheduler_url, farm.client_token, tmp_path / "toolchains", [gcc]) as client:
        for source in project.sources:
            ended = client.compiling(project.compile_command(source), project.folder).run()
            assert ended.returncode == 0, ended
        assert client.statistics() == Statistics({}, errors=len(project.sources))
    assert all(project.object_of(source).exists() for source in project.sources)
    all_slots_free(farm)
