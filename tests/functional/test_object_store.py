"""Toolchains in an object store: new build servers need no upload, and nothing that is wrong there is used."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_twisted
import tomli
from twisted.internet import reactor as global_reactor  # noqa: TID251

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.gateway_farm import GatewayFarm
from farmkit.launch import OUR_SERVER, PUBLISHED_SCHEDULER
from farmkit.processes import wait_until
from farmkit.raw_client import RawClient
from sccachedist.cli.doctor.object_store import object_store_check
from sccachedist.config import ToolchainsSettings
from sccachedist.config.schema import read_settings
from sccachedist.objects.store import object_store
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.messages import AllocJobSuccess, JobComplete, JobNotFound, SubmitToolchainResult
from tests.support.farm_api import farm_document
from tests.support.object_stores import ObjectStoreProcess
from tests.support.proxy import Certificate

T = TypeVar("T")

reactor: Any = global_reactor
coroutine: Callable[[T], T] = pytest_twisted.ensureDeferred
pytestmark = pytest.mark.functional

SETTINGS = "[capacity]\ncpus = 1\n\n[heartbeat]\nsecs = 1\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStoreProcess]:
    with ObjectStoreProcess(tmp_path_factory.mktemp("store")).running() as store:
        yield store


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_inputs(folder / "inputs", {"/input": b"text"})
    return write_toolchain(folder / "toolchain.tar.gz", {}, 1_000_000)


def runs(farm: Farm, allocated: AllocJobSuccess, archive: Path) -> bool:
    """Whether a job compiles there; else its client has to compile at home."""
    client, request = RawClient.of(farm, strict=True), shell("cat < /input > /copy", "/copy")
    result = client.run_job(allocated.job_alloc, request, archive.with_name("inputs"))
    assert isinstance(result, JobComplete | JobNotFound)
    return isinstance(result, JobComplete)


def kept(store: ObjectStoreProcess, name: ArchiveId, archive: Path) -> bool:
    return store.get(name) == archive.read_bytes()


def test_new_build_servers(store: ObjectStoreProcess, archive: Path, tmp_path: Path) -> None:
    """A client brings a toolchain once, and new farms have it; what is wrong in the store is brought again."""
    name = id_of(archive)

    def new_farm(folder: str) -> Farm:
        (tmp_path / folder).mkdir()
        return Farm(tmp_path / folder, server_settings=SETTINGS + store.settings)

    with new_farm("first") as farm:
        client = RawClient.of(farm, strict=True)
        allocated = client.slot(name)
        assert allocated.need_toolchain
        assert client.submit_toolchain(allocated.job_alloc, archive) is SubmitToolchainResult.SUCCESS
        assert runs(farm, allocated, archive)
        wait_until(lambda: kept(store, name, archive), 30, "the store has it")
    with new_farm("second") as farm:
        allocated = RawClient.of(farm, strict=True).slot(name)
        assert not allocated.need_toolchain
        assert runs(farm, allocated, archive)
        farm.server.stop()
        other = farm.beside(tmp_path / "other", OUR_SERVER)
        other.folder.mkdir()
        try:
            other.start_server()  # it fetches what the farm needed lately before it joins
            assert [path.name for path in (other.server_folder / "cache" / "tc").rglob(name)] == [name]
        finally:
            other.stop()
    store.put(name, b"something else")
    assert store.get(name) == b"something else"
    with new_farm("third") as farm:
        client = RawClient.of(farm, strict=True)
        allocated = client.slot(name)
        assert not allocated.need_toolchain
        assert not runs(farm, allocated, archive)
        allocated = client.slot(name)
        assert allocated.need_toolchain
        assert client.submit_toolchain(allocated.job_alloc, archive) is SubmitToolchainResult.SUCCESS
        wait_until(lambda: kept(store, name, archive), 30, "the store has the right one")
        assert runs(farm, allocated, archive)


def test_a_gateway_under_the_published_scheduler(store: ObjectStoreProcess, archive: Path, tmp_path: Path) -> None:
    """A gateway has what the store has, and says so itself to a scheduler that knows of no stores."""
    store.put(id_of(archive), archive.read_bytes())
    with GatewayFarm(tmp_path, launch_scheduler=PUBLISHED_SCHEDULER, server_settings=store.settings) as farm:
        allocated = RawClient.of(farm, strict=True).slot(id_of(archive))
        assert not allocated.need_toolchain
        assert runs(farm, allocated, archive)
        wait_until(lambda: farm.status().in_progress == 0, 30, "the scheduler has heard of the end")
    assert "the scheduler was not told" not in (tmp_path / "server.log").read_text()


def test_a_store_that_is_away(archive: Path, tmp_path: Path) -> None:
    """Clients bring toolchains as without a store; the log and the list of what needs attention say why."""
    away = ObjectStoreProcess(tmp_path)
    with Farm(tmp_path, server_settings=SETTINGS + away.settings) as farm:
        client = RawClient.of(farm, strict=True)
        allocated = client.slot(id_of(archive))
        assert allocated.need_toolchain
        assert client.submit_toolchain(allocated.job_alloc, archive) is SubmitToolchainResult.SUCCESS
        assert runs(farm, allocated, archive)
        said = f"the object store {away.endpoint}/farm/tc/ cannot be used (reading): ConnectionRefusedError"
        assert (tmp_path / "server.log").read_text().count(said) == 1
        assert "testing" not in (tmp_path / "server.log").read_text()
        trouble = f"{farm.server_id} cannot use its object store: ConnectionRefusedError"

        def is_told() -> bool:
            return any(each["text"].startswith(trouble) for each in farm_document(farm, "status")["attention"])

        wait_until(is_told, 30, "it needs attention")


async def found(text: str, **changes: object) -> str:
    """What the doctor says of a store, which a file's table describes."""
    settings = read_settings(ToolchainsSettings, tomli.loads(text)["toolchains"] | changes, "toolchains")
    (finding,) = [finding async for finding in object_store_check(reactor, settings)]
    return str(finding)


@coroutine
async def test_the_doctor(store: ObjectStoreProcess, tmp_path: Path) -> None:
    """It says of a store that it answers, or why it cannot be used; one with a private authority is known by that."""
    place = f"{store.endpoint}/farm/tc/"
    assert await found(store.settings) == f"ok       toolchains.store: {place} answers, and takes the credentials"
    assert "there is no such bucket; correct it" in await found(store.settings, store="s3://other/tc")
    authority = Certificate.make("The authority of a test")
    (tmp_path / "authority.pem").write_bytes(authority.pem)
    (tmp_path / "store.pem").write_bytes(Certificate.make("localhost", authority).pem_with_key)
    with ObjectStoreProcess(tmp_path, certificate=tmp_path / "store.pem").running() as secure:
        assert "its certificate is not trusted: see toolchains.store_ca" in await found(secure.settings)
        assert (await found(secure.settings, store_ca=str(tmp_path / "authority.pem"))).startswith("ok ")


@coroutine
async def test_two_put_the_same(store: ObjectStoreProcess, tmp_path: Path) -> None:
    """The first one wins, and both have it there; what is wrong is replaced."""
    objects = object_store(
        read_settings(ToolchainsSettings, tomli.loads(store.settings)["toolchains"], "toolchains"), reactor
    )
    assert objects is not None
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode() * 100_000)
    assert not await objects.look("some")
    assert await objects.put("some", tmp_path / "one")
    assert not await objects.put("some", tmp_path / "two")
    assert store.get("some") == b"one" * 100_000
    assert await objects.put("some", tmp_path / "two", replace=True)
    assert await objects.look("some")
    pieces: list[bytes] = []
    await objects.get("some", pieces.append)
    assert b"".join(pieces) == b"two" * 100_000
    store.delete("some")
    assert not await objects.look("some")
    await objects.close()
