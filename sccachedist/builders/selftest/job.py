"""The trial job that proves a builder: it takes every step that a real job takes, and needs nothing of the host.

Its toolchain holds one tiny program, unless the sandbox has a program to run. Its only output holds its only input, and
what the program saw in the sandbox. What it should see is in :mod:`sccachedist.builders.selftest.requirements`.
"""

import io
import secrets
import tarfile
import tempfile
import zlib
from collections.abc import Collection
from pathlib import Path

from sccachedist.builders.interface import Builder, BuildJob
from sccachedist.builders.selftest.requirements import Requirement, Seen, looked_at, unmet_requirements
from sccachedist.errors import BuildError, CompileFailed
from sccachedist.outcomes import SentLocal
from sccachedist.sandbox.programs.probe import READ, read_by_it, trial_program
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.messages import RUN_JOB_REQUEST, RUN_JOB_RESULT, CompileCommand, JobComplete, JobId, RunJobRequest

_INPUT = b"proof"
_FAILED = "a trial job could not write in its sandbox, or had no /dev/null: see the disk of its directory"


async def probe(
    builder: Builder, directory: Path, requirements: Collection[Requirement] = (), command: CompileCommand | None = None
) -> None:
    """Run the trial job; its files are in ``directory`` meanwhile.

    :param requirements: what has to hold in the sandbox.
    :param command: run instead of the tiny program where a sandbox has programs: it copies the file ``proof`` to
        ``seen``.
    :raises BuildError: the builder does not work, or breaks a requirement; the text says what would mend it.
    """
    # Random: a second trial on the same Docker or pot removes only its own toolchain.
    toolchain = archive_id(secrets.token_hex(32))
    with tempfile.TemporaryDirectory(dir=directory, prefix="probe-") as name:
        place = Path(name)
        (place / "toolchain").write_bytes(_archive("proof", b"", ":gz") if command else _toolchain())
        (place / "inputs").write_bytes(zlib.compress(_archive("work/proof", _INPUT, ":")))
        ran = command or CompileCommand("/bin/probe", ("seen", f"{READ}proof", *looked_at()), (), "/work")
        job = BuildJob(
            job_id=JobId(0),
            toolchain=toolchain,
            archive=place / "toolchain",
            request=encode(RUN_JOB_REQUEST, RunJobRequest(ran, ("seen",))),
            inputs=place / "inputs",
            answer=place / "answer",
            as_json=False,
        )
        try:
            await builder.run(job)
        except CompileFailed as error:
            raise BuildError(SentLocal.SANDBOX, _FAILED) from error
        finally:
            await builder.discard(toolchain)
        output = _output((place / "answer").read_bytes())
    proof, *seen = [output] if command else read_by_it(output)
    if proof != _INPUT:
        raise BuildError(SentLocal.SANDBOX, "a trial job in the sandbox did not give what it should")
    if requirements and (broken := unmet_requirements(Seen.by(seen), requirements)):
        raise BuildError(SentLocal.SANDBOX, broken)


def _output(answer: bytes) -> bytes:
    match decode(RUN_JOB_RESULT, answer):
        case JobComplete(output=output, outputs=((_, data),)) if output.code == 0:
            return zlib.decompress(data.compressed)
    raise BuildError(SentLocal.SANDBOX, _FAILED)


def _toolchain() -> bytes:
    return _archive("bin/probe", trial_program(), ":gz")


def _archive(name: str, content: bytes, form: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w{form}") as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o755
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()
