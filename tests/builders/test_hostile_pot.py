"""Toolchains and jobs that lead ``pot``, which is root on the host, out of a pot."""

import shutil
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from sccachedist.errors import SccachedistError, ToolchainError
from tests.builders.farms import (
    LIMITS,
    OTHER_TOOLCHAIN,
    TOOLCHAIN,
    Farm,
    async_fixture,
    in_reactor,
    make_pot_farm,
    named,
    outputs_of,
    the_reactor,
    until,
)
from tests.sandbox.archives import busybox_toolchain, file, member

pytestmark = pytest.mark.functional

#: In which jobs end that do not end by themselves.
JOB_SECS = 10
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
    made = make_pot_farm(the_reactor(), attrs.evolve(LIMITS, job_secs=JOB_SECS))
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


#: What a job does, its outputs, and what its error says.
JOBS = {
    "a flood of output": ("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", (), "wrote more than"),
    "no signal ends it": ("trap '' TERM INT HUP QUIT; while :; do sleep 3102; done", (), "took more than"),
    "what outlives it holds its output": ("sleep 3103 &", (), "took more than"),
    "a pipe": ("busybox mkfifo a.o", ("a.o",), "not a regular file"),
    "a device": ("ln -s /dev/zero a.o", ("a.o",), "not a regular file|without making"),
    "a directory": ("busybox mkdir a.o", ("a.o",), "not a regular file"),
    "a loop": ("ln -s a.o a.o", ("a.o",), "Too many levels"),
    "a terabyte of holes": ("busybox truncate -s 1000000000000 a.o", ("a.o",), "too large"),
    "no program is left": ("busybox rm -rf /bin /usr; kill -9 $$", (), "signal|killed|did not"),
}  # fmt: skip


@pytest.mark.parametrize("job", JOBS)
@in_reactor
async def test_a_job(job: str, farm: Farm) -> None:
    """It ends with an error in its time, nothing of it goes on, and the next one runs in a pot that is as new."""
    script, outputs, error = JOBS[job]
    with pytest.raises(SccachedistError, match=error):
        await farm.compile(script, outputs)
    await until(lambda: not any(named(f"sleep\x003{number}") for number in range(102, 104)))
    made = await farm.compile("test ! -e a.o && cat input >b.o", ("b.o",))
    assert outputs_of(made) == {"b.o": b"from the client"}


@in_reactor
async def test_what_a_job_leaves(farm: Farm, tmp_path: Path) -> None:
    """Processes that outlive it end with it; files and links of it are not there for the next job in its pot."""
    left = f"(sleep 3104 >/dev/null 2>&1 </dev/null &); echo left >/left; ln -s {tmp_path} /etc; busybox rm -r /tmp"
    assert (await farm.compile(f"{left}; ln -s {tmp_path} /tmp")).output.code == 0
    assert named("sleep\x003104") == []
    script = "test ! -e /left && test ! -L /etc && test -d /tmp && test ! -L /tmp && echo clean >b.o"
    assert outputs_of(await farm.compile(script, ("b.o",))) == {"b.o": b"clean\n"}
    assert list(tmp_path.iterdir()) == []
