"""Toolchains and jobs that lead ``pot``, which is root on the host, out of a pot."""

import shutil
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sccachedist.errors import ToolchainError
from tests.builders.farms import (
    OTHER_TOOLCHAIN,
    TOOLCHAIN,
    Farm,
    async_fixture,
    in_reactor,
    make_pot_farm,
    the_reactor,
)
from tests.sandbox.archives import busybox_toolchain, file, member

pytestmark = pytest.mark.functional

#: Links that a toolchain brings, with targets in the directory of a victim on the host.
LINKS = {
    "a file of etc": [member("etc/hosts", tarfile.SYMTYPE, "{victim}/file")],
    "etc": [member("etc", tarfile.SYMTYPE, "{victim}")],
    "etc, in two steps": [member("etc", tarfile.SYMTYPE, "lib"), member("lib", tarfile.SYMTYPE, "{victim}")],
    "dev": [member("dev", tarfile.SYMTYPE, "{victim}")],
    "a file of tmp": [member("tmp/environment.sh", tarfile.SYMTYPE, "{victim}/file")],
    "tmp": [member("tmp", tarfile.SYMTYPE, "{victim}")],
    "a hard link to a link": [
        member("lib/link", tarfile.SYMTYPE, "{victim}/file"),
        member("etc/hosts", tarfile.LNKTYPE, "lib/link"),
    ],
}


@async_fixture()
async def farm() -> AsyncIterator[Farm]:
    """A builder that is ready."""
    made = make_pot_farm(the_reactor())
    await made.builder.start()
    yield made
    await made.builder.stop()
    assert made.remains() == []
    shutil.rmtree(made.place)


@pytest.mark.parametrize("what", LINKS)
@in_reactor
async def test_a_toolchain_with_links(farm: Farm, tmp_path: Path, what: str) -> None:
    """It is refused, nothing of the host has changed, and the next client's job runs."""
    (tmp_path / "file").write_text("of the host")
    members = [(info, b"") for info in LINKS[what]]
    for info, _ in members:
        info.linkname = info.linkname.replace("{victim}", str(tmp_path))
    farm.archive(OTHER_TOOLCHAIN).write_bytes(busybox_toolchain(*members))
    with pytest.raises(ToolchainError, match="has a link where pot writes"):
        await farm.compile("true", toolchain=OTHER_TOOLCHAIN)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "of the host"}
    assert (await farm.compile("true", toolchain=TOOLCHAIN)).output.code == 0


@in_reactor
async def test_a_toolchain_with_other_links(farm: Farm) -> None:
    """Those that pot does not follow may be there, also below ``etc``."""
    more = member("etc/alternatives/sh", tarfile.SYMTYPE, "/bin/sh"), member("lib64", tarfile.SYMTYPE, "bin")
    members = [(info, b"") for info in more]
    farm.archive(OTHER_TOOLCHAIN).write_bytes(busybox_toolchain(*members, file("etc/hosts", b"of the toolchain")))
    assert (await farm.compile("/etc/alternatives/sh -c true", toolchain=OTHER_TOOLCHAIN)).output.code == 0
