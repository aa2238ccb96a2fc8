"""A client on Windows, whose requests name disks in their paths: what it sends, sent step by step."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from farmkit.busybox_jobs import BUSYBOX, id_of, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, adding
from farmkit.raw_client import RawClient
from sccachedist.wire.messages import CompileCommand, JobComplete, RunJobRequest
from tests.functional.conftest import running_farm

pytestmark = pytest.mark.functional

_SOURCE, _OBJECT = "/prefix/disk-C/work/unit.i", "/prefix/disk-D/out/unit.obj"
_REQUEST = RunJobRequest(
    CompileCommand(
        executable="/usr/bin/gcc",
        arguments=("-x", "cpp-output", "-c", _SOURCE, "-o", _OBJECT),
        env_vars=(("=C:", "C:\\work"), ("INCLUDE", "C:\\include")),
        cwd="/prefix/disk-C/work",
    ),
    outputs=(_OBJECT,),
)
# Notes what it is given; an empty source is a mistake.
_COMPILER = f'{BUSYBOX} test -s unit.i || exit 3; echo "$4 $INCLUDE" > "$6"'


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm that tells its clients how a compile failed."""
    server = adding(OUR_SERVER, policy='on_failure = "report"')
    yield from running_farm(Farm(tmp_path_factory.mktemp("farm"), OUR_SCHEDULER, server))


@pytest.mark.parametrize(
    ("source", "code", "made"),
    [(b"int x;", 0, {_OBJECT: f"{_SOURCE} C:\\include\n"}), (b"", 3, {})],
    ids=["good", "mistake"],
)
def test_a_client_on_windows_gets_its_files_and_the_bare_exit_status(
    farm: Farm, tmp_path: Path, source: bytes, code: int, made: dict[str, str]
) -> None:
    """Each disk is a folder, also one that only outputs go to, and an exit status of 3 is 3."""
    client = RawClient.of(farm, strict=True)
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {"/usr/bin/gcc": _COMPILER})
    job = client.slot(id_of(archive)).job_alloc
    client.submit_toolchain(job, archive)
    result = client.run_job(job, _REQUEST, write_inputs(tmp_path / "inputs", {_SOURCE: source}))
    assert isinstance(result, JobComplete)
    assert result.output.code == code
    assert {name: zlib.decompress(data.compressed).decode() for name, data in result.outputs} == made
