"""Rows 1, 3, 4 and 5: names that become paths, and outputs that are no files."""

from collections.abc import Iterator
from pathlib import Path

from farmkit.busybox_jobs import shell
from farmkit.raw_client import RawClient
from sccachedist.wire.messages import AllocJobSuccess
from tests.hostile.attacks import NO_INPUTS, Seen, leaked, secret_in, toolchain


def archive_ids(attacker: RawClient, ground: Path) -> Iterator[Seen]:
    """Row 1: an archive id that is a path writes a file there."""
    planted = ground / "planted"
    for archive_id in (str(planted), f"..{'/..' * 20}{planted}", f"aa{'/..' * 20}{planted}"):
        allocated = attacker.alloc(archive_id)
        if isinstance(allocated, AllocJobSuccess):
            attacker.submit(allocated.job_alloc, b"planted")
        yield Seen(f"archive id {archive_id[-40:]!r}", str(allocated)[:100], planted.exists())


def climbing_outputs(attacker: RawClient, ground: Path) -> Iterator[Seen]:
    """Row 3: an output with ``..`` in it reads a file of the host."""
    secret, text = secret_in(ground)
    archive, archive_id = toolchain(ground)
    for output in (f"{'/..' * 20}{secret}", f"{'../' * 20}{secret}"[:-1], f"/tmp/a/b{'/..' * 20}{secret}", str(secret)):
        job = attacker.ready(archive, archive_id)
        said = attacker.run(job, shell("true", output), NO_INPUTS)
        yield Seen(f"output {output[-50:]!r}", str(said), text in leaked(said))


def symlinks(attacker: RawClient, ground: Path) -> Iterator[Seen]:
    """Row 4: a symlink that the compile has left is followed on the host, to read and to make directories."""
    secret, text = secret_in(ground)
    archive, archive_id = toolchain(ground)
    for script, output in (
        (f"/bin/busybox ln -s {secret} /made.o", "/made.o"),
        (f"/bin/busybox ln -s {ground} /made", "/made/secret"),
        (f"/bin/busybox rm -r /made; /bin/busybox ln -s {'../' * 20}{ground} /made", "/made/secret"),
        ("/bin/busybox ln -s /proc/self/environ /made.o", "/made.o"),
    ):
        said = attacker.run(attacker.ready(archive, archive_id), shell(script, output), NO_INPUTS)
        yield Seen(
            f"{script[13:60]!r}", str(said), said.status == 200 and (text in leaked(said) or b"PATH" in leaked(said))
        )


def odd_outputs(attacker: RawClient, ground: Path) -> Iterator[Seen]:
    """Row 5: an output that is a FIFO, a device or endless hangs a thread or eats the memory."""
    archive, archive_id = toolchain(ground)
    for script in (
        "/bin/busybox mkfifo /made.o",
        "/bin/busybox ln -s /dev/zero /made.o",
        "/bin/busybox ln -s /proc/kmsg /made.o",
        "/bin/busybox mkdir /made.o",
        "/bin/busybox truncate -s 5000G /made.o",
    ):
        said = attacker.run(attacker.ready(archive, archive_id), shell(script, "/made.o"), NO_INPUTS)
        yield Seen(script[13:], str(said), said.status != 500)
