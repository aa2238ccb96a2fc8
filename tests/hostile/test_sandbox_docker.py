"""Row 54: toolchains in images of an engine that makes directories nobody names so that no job can enter them."""

import shutil
from collections.abc import Iterator

import pytest

from tests.builders.farms import TOOLCHAIN, in_reactor, make_docker_farm, started, the_reactor
from tests.sandbox.archives import busybox_toolchain, file, member
from tests.support.docker_engine import DockerEngine, docker_engine


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    """An engine whose driver copies files, where the kernel stacks none of them."""
    with docker_engine("--storage-driver=vfs") as running:
        assert "vfs" in running.docker("info", "--format", "{{.Driver}}")
        yield running


@in_reactor
async def test_row_54_directories_without_a_name(engine: DockerEngine) -> None:
    """A compile has no capabilities: it enters them by their mode, below a symlink to a directory as well."""
    farm = await started(make_docker_farm(the_reactor(), engine))
    deep, linked = file("opt/gcc/lib/deep", b"deep"), file("lib/in/linked", b"linked")
    link = (member("lib", b"2", "usr/lib"), b"")
    inner = (member("usr/lib/in", b"2", "../../opt"), b"")
    farm.archive(TOOLCHAIN).write_bytes(busybox_toolchain(deep, link, inner, linked))
    places = "/opt /opt/gcc /opt/gcc/lib /usr /usr/lib /.sccachedist"
    script = f"cat /opt/gcc/lib/deep /opt/linked; busybox stat -c %a {places}"
    try:
        result = await farm.compile(script)
        assert result.output.code == 0, result
        assert result.output.stdout == b"deeplinked" + b"755\n" * 6
    finally:
        await farm.builder.stop()
        shutil.rmtree(farm.place)
