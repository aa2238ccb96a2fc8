"""A farm under attack, and what an honest client is owed there."""

import time
import zlib
from pathlib import Path

import attrs

from farmkit.busybox_jobs import shell
from farmkit.farm import Farm
from farmkit.raw_client import RawClient
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.messages import JobAlloc, JobComplete, RunJobRequest
from tests.hostile.attacks import NO_INPUTS
from tests.support.slots import all_slots_free

_TRIES = 10


@attrs.frozen
class Victim:
    """A farm under attack, and an honest client's toolchain."""

    farm: Farm
    archive: Path
    toolchain: ArchiveId

    @property
    def attacker(self) -> RawClient:
        """Somebody with a client token."""
        return RawClient.of(self.farm, strict=False)

    def run(self, request: RunJobRequest) -> JobComplete:
        """What an honest client's job comes to."""
        job = self.attacker.ready(self.archive, self.toolchain)
        result = self.attacker.run_job(job, request, NO_INPUTS)
        assert isinstance(result, JobComplete), result
        return result

    def still_runs(self, job: JobAlloc) -> None:
        """The job can be run: nothing has happened to it."""
        result = self.attacker.run_job(job, shell("true"), NO_INPUTS)
        assert isinstance(result, JobComplete), result

    def restart_server(self) -> None:
        """Start the build server again, and wait until the scheduler has heard of it."""
        said = "registered with the scheduler"
        before = self.farm.server.log.read_text().count(said)
        self.farm.start_server()
        self.farm.server.wait_until(
            lambda: self.farm.server.log.read_text().count(said) > before, 60, "the build server registers"
        )

    def unharmed(self) -> None:
        """No slot is taken, both daemons run, and the next honest job is served within a second."""
        self.serves()
        self.all_slots_free()

    def serves(self) -> None:
        """Both daemons run, and the next honest job is served within a second.

        Other tests run beside this one: the job is tried again where it took longer, and has to succeed each time.
        """
        assert self.farm.scheduler.running
        assert self.farm.server.running
        assert any(self._served() < 1 for _ in range(_TRIES))

    def all_slots_free(self) -> None:
        """No slot is taken, as soon as the last reports are there."""
        all_slots_free(self.farm, 10)

    def _served(self) -> float:
        began = time.monotonic()
        result = self.run(shell("echo served >/made", "/made"))
        took = time.monotonic() - began
        ((name, made),) = result.outputs
        assert (result.output.code, name, zlib.decompress(made.compressed)) == (0, "/made", b"served\n")
        return took
