"""What is sent to a build server: how much of it is kept in memory, and that strangers' bytes are not kept at all."""

import os
import zlib
from http.client import HTTPConnection
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.raw_client import RawClient
from sccachedist.wire.messages import JobAlloc, JobComplete, SubmitToolchainResult
from tests.support.processes import peak_memory

pytestmark = pytest.mark.functional

_MIB = 1 << 20


def test_large_toolchains_and_inputs_pass_through_little_memory(farm: Farm, tmp_path: Path) -> None:
    """300 MB of toolchain and 100 MB of inputs: the daemon's peak memory grows by less than 32 MiB."""
    client = RawClient.of(farm, strict=True)
    small, large = ({"/input": os.urandom(size)} for size in (1000, 100_000_000))
    compile_with(client, tmp_path, filler=1000, files=small)
    before = peak_memory(farm.server.process.pid)
    compile_with(client, tmp_path, filler=300_000_000, files=large)
    assert peak_memory(farm.server.process.pid) - before < 32 * _MIB


def compile_with(client: RawClient, folder: Path, filler: int, files: dict[str, bytes]) -> None:
    """Upload a toolchain of that size and run a job in it that counts its input."""
    archive = write_toolchain(folder / "toolchain.tar.gz", {}, filler)
    allocated = client.slot(id_of(archive))
    assert allocated.need_toolchain
    assert client.submit_toolchain(allocated.job_alloc, archive) is SubmitToolchainResult.SUCCESS
    inputs = write_inputs(folder / "inputs", files)
    result = client.run_job(allocated.job_alloc, shell("wc -c < /input > /count", "/count"), inputs)
    assert isinstance(result, JobComplete)
    assert result.output.code == 0, result
    [(_, count)] = result.outputs
    assert int(zlib.decompress(count.compressed)) == len(files["/input"])


def test_an_upload_without_the_right_token_is_refused_before_its_body_has_come(farm: Farm, tmp_path: Path) -> None:
    """401 while the body is still under way, and nothing of it is stored."""
    client = RawClient.of(farm, strict=True)
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {})
    job = client.slot(id_of(archive)).job_alloc
    before = files_below(farm.server_folder)
    connection = client.connect(farm.server_id)
    begin_upload(connection, job, token="not" + job.auth)
    assert connection.getresponse().status == 401
    assert files_below(farm.server_folder) == before
    connection.close()
    assert client.submit_toolchain(job, archive) is SubmitToolchainResult.SUCCESS


def begin_upload(connection: HTTPConnection, job: JobAlloc, token: str) -> None:
    """Send the head of an upload and a first piece, and no end."""
    connection.putrequest("POST", f"/api/v1/distserver/submit_toolchain/{job.job_id}")
    connection.putheader("Authorization", f"Bearer {token}")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    connection.send(b"10000\r\n" + bytes(0x10000) + b"\r\n")


def files_below(folder: Path) -> dict[Path, int]:
    """All files of a folder, with their sizes."""
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
