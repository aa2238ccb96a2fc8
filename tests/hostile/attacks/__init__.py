"""Attacks that can be tried on any daemons, ours or the published ones: each takes an attacker and says what it saw.

An attack harms nothing but the daemon that falls for it: what it would plant or read lies in a directory of its own,
its ``ground``, which has to be on the build server's machine.
"""

import secrets
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from farmkit.busybox_jobs import id_of, write_toolchain
from farmkit.raw_client import RawClient, Reply
from sccachedist.wire.archive_id import ArchiveId, swapped_hex
from sccachedist.wire.bincode import decode
from sccachedist.wire.messages import RUN_JOB_RESULT, JobComplete
from tests.sandbox.archives import tar

NO_INPUTS = zlib.compress(tar())


@attrs.frozen
class Seen:
    """One step of an attack: what was tried, what was answered, and whether it did any harm."""

    tried: str
    answered: str
    harm: bool

    def __str__(self) -> str:
        return f"{'HARM' if self.harm else 'well'}  {self.tried}: {self.answered}"


Attack = Callable[[RawClient, Path], Iterator[Seen]]


def fresh_id() -> ArchiveId:
    """An archive id that nobody has."""
    return swapped_hex(secrets.token_bytes(32))


def toolchain(ground: Path) -> tuple[Path, ArchiveId]:
    """A toolchain with a busybox that no server has yet."""
    archive = write_toolchain(ground / f"{secrets.token_hex(4)}.tar.gz", {}, filler=16)
    return archive, id_of(archive)


def secret_in(ground: Path) -> tuple[Path, bytes]:
    """A file on the host that no job may see."""
    text = secrets.token_hex(20).encode()
    (ground / "secret").write_bytes(text)
    return ground / "secret", text


def leaked(said: Reply) -> bytes:
    """All that an answer to ``run_job`` gives away, as text."""
    if said.status != 200:
        return said.body
    result = decode(RUN_JOB_RESULT, said.body)
    if not isinstance(result, JobComplete):
        return b""
    files = [zlib.decompress(data.compressed) for _, data in result.outputs]
    return b"".join([result.output.stdout, result.output.stderr, *files])
