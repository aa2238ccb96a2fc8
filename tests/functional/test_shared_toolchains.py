"""Toolchains once per farm: build servers fetch from each other what one client has brought to one of them."""

import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.gateway_farm import GatewayFarm
from farmkit.launch import OUR_SERVER
from farmkit.processes import wait_until
from farmkit.raw_client import RawClient
from sccachedist.wire.messages import AllocJobSuccess, JobComplete, JobNotFound, RunJobResult, SubmitToolchainResult

pytestmark = pytest.mark.functional

SERVERS = 3
SETTINGS = "[capacity]\ncpus = 1\n\n[heartbeat]\nsecs = 1\n"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Farm]]:
    """Build servers of one scheduler."""
    (tmp_path / "first").mkdir()
    with ExitStack() as running, Farm(tmp_path / "first", server_settings=SETTINGS) as first:
        made = [first]
        for number in range(2, SERVERS + 1):
            other = first.beside(tmp_path / f"server{number}", OUR_SERVER)
            other.folder.mkdir()
            running.callback(other.stop)
            other.start_server()
            made.append(other)
        wait_until(lambda: first.status().num_servers == SERVERS, 60, "all are registered")
        yield made


def slot_at(client: RawClient, toolchain: str, at: Farm) -> AllocJobSuccess:
    """A slot of one build server; those of others are left to lapse."""
    while True:
        allocated = client.slot(toolchain)
        if allocated.job_alloc.server_id == at.server_id:
            return allocated


def runs(client: RawClient, allocated: AllocJobSuccess, inputs: Path) -> RunJobResult:
    return client.run_job(allocated.job_alloc, shell("cat < /input > /copy", "/copy"), inputs)


def has_run(result: RunJobResult) -> bool:
    assert isinstance(result, JobComplete), result
    [(_, copy)] = result.outputs
    return zlib.decompress(copy.compressed) == b"text"


def test_one_upload(servers: list[Farm], tmp_path: Path) -> None:
    """A client brings its toolchain to one build server, and compiles on all of them; one that fails is no obstacle."""
    client = RawClient.of(servers[0], strict=True)
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {}, 3_000_000)
    inputs = write_inputs(tmp_path / "inputs", {"/input": b"text"})
    allocated = client.slot(id_of(archive))
    assert allocated.need_toolchain
    first, second, third = sorted(servers, key=lambda farm: farm.server_id != allocated.job_alloc.server_id)
    assert client.submit_toolchain(allocated.job_alloc, archive) is SubmitToolchainResult.SUCCESS
    assert has_run(runs(client, allocated, inputs))
    allocated = slot_at(client, id_of(archive), second)
    assert not allocated.need_toolchain
    assert has_run(runs(client, allocated, inputs))
    for holder in (first, second):
        for path in (holder.server_folder / "cache" / "tc").rglob(id_of(archive)):
            path.write_bytes(b"damaged")
    allocated = slot_at(client, id_of(archive), third)
    assert not allocated.need_toolchain
    assert isinstance(runs(client, allocated, inputs), JobNotFound)
    allocated = slot_at(client, id_of(archive), third)
    assert allocated.need_toolchain
    assert client.submit_toolchain(allocated.job_alloc, archive) is SubmitToolchainResult.SUCCESS
    assert has_run(runs(client, allocated, inputs))


def test_a_gateway(tmp_path: Path) -> None:
    """A gateway fetches from a build server what its workers need, and gives it to the next build server."""
    folders = [tmp_path / name for name in ("gateway", "first", "second")]
    for folder in folders:
        folder.mkdir()
    gateway = GatewayFarm(folders[0], server_settings="[heartbeat]\nsecs = 1\n")
    port, token, key = gateway.scheduler_port, gateway.client_token, gateway.server_key
    first, second = (
        Farm(folder, server_settings=SETTINGS, scheduler_port=port, client_token=token, server_key=key)
        for folder in folders[1:]
    )
    archive = write_toolchain(tmp_path / "toolchain.tar.gz", {}, 3_000_000)
    inputs = write_inputs(tmp_path / "inputs", {"/input": b"text"})
    try:
        gateway.start_scheduler()
        first.start_server()
        client = RawClient.of(gateway, strict=True)
        allocated = client.slot(id_of(archive))
        assert client.submit_toolchain(allocated.job_alloc, archive) is SubmitToolchainResult.SUCCESS
        assert has_run(runs(client, allocated, inputs))
        gateway.launch_gateway()
        gateway.launch_only_worker("one")
        for newcomer, gone in ((gateway, first), (second, None)):
            if newcomer is second:
                newcomer.start_server()
            wait_until(lambda: gateway.status().num_servers == 2, 60, "both are registered")
            allocated = slot_at(client, id_of(archive), newcomer)
            assert not allocated.need_toolchain
            assert has_run(runs(client, allocated, inputs))
            if gone is not None:
                gone.stop()
                wait_until(lambda: gateway.status().num_servers == 1, 60, "it has left")
    finally:
        for farm in (second, first, gateway):
            farm.stop()
