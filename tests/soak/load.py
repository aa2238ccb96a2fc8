"""A round of mixed load: what clients do to a farm in a minute, good and bad.

It is the published client's where that can be made to do it, and the protocol's own steps where not.
"""

import contextlib
import itertools
import secrets
from collections.abc import Iterator
from pathlib import Path

import attrs

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.processes import Daemon, wait_until
from farmkit.published_client import Client
from farmkit.raw_client import RawClient
from sccachedist.wire.messages import JobComplete, SubmitToolchainResult
from sccachedist.wire.run_job_frame import frame
from tests.faults.build import Build
from tests.support.processes import running

_MISTAKE = "int twice(int x)\n{\n    return 2 * y;\n}\n"
_FILLER = 1 << 20
_GONE_SECS = 60


@attrs.define
class Load:
    """All that is needed for rounds of load.

    :param folder: for files, which are few and used again.
    """

    farm: Farm
    build: Build
    folder: Path
    toolchains: Path
    _numbers: Iterator[int] = attrs.field(factory=itertools.count, init=False)

    def round(self) -> None:
        """One round, by a client that is new each time; every other one waits for a slot to be given up.

        :raises AssertionError: something was not answered as it should be.
        """
        raw = RawClient.of(self.farm, strict=True)
        archive = write_toolchain(self.folder / "toolchain.tar.gz", {}, _FILLER)
        self._uploads_and_leaves(raw, archive)
        with Client(self.folder / "client", self.farm.scheduler_url, self.farm.client_token, self.toolchains) as client:
            outcome = self.build.run(client, (), lambda _: None)
            assert outcome.wrong == (), outcome.wrong
            self._compiles_a_mistake(client)
            self._is_interrupted(client)
        if next(self._numbers) % 2:
            raw.slot(id_of(archive))  # and never comes back

    def _uploads_and_leaves(self, client: RawClient, archive: Path) -> None:
        """A toolchain that is new, a job that ends, and one whose client goes away in the middle."""
        marker = f"marker-{secrets.token_hex(8)}"
        inputs = write_inputs(self.folder / "inputs", {"/input": b"input"})
        job = client.slot(id_of(archive)).job_alloc
        assert client.submit_toolchain(job, archive) is SubmitToolchainResult.SUCCESS
        assert isinstance(client.run_job(job, shell("cat /input > /out", "/out"), inputs), JobComplete)
        job = client.slot(id_of(archive)).job_alloc
        body = frame(shell(f"sleep 300; echo {marker}"), inputs.read_bytes())
        with contextlib.closing(client.connect(job.server_id)) as connection:
            headers = {"Authorization": f"Bearer {job.auth}", "Content-Type": "application/octet-stream"}
            connection.request("POST", f"/api/v1/distserver/run_job/{job.job_id}", body, headers)
            wait_until(lambda: running(marker) != [], _GONE_SECS, "the job runs")
        wait_until(lambda: running(marker) == [], _GONE_SECS, "the job of a client that went away is gone")

    def _compiles_a_mistake(self, client: Client) -> None:
        (self.folder / "mistake.c").write_text(_MISTAKE)
        ended = client.compiling(("gcc", "-c", "mistake.c", "-o", "mistake.o"), self.folder).run()
        assert (ended.returncode, "mistake.c:3" in ended.stderr) == (1, True), ended

    def _is_interrupted(self, client: Client) -> None:
        """A compile that is killed as soon as it has begun, as by Ctrl-C."""
        source = self.build.project.sources[0]
        compiling = client.compiling(self.build.project.compile_command(source), self.build.project.folder)
        Daemon.start(compiling, self.folder / "interrupted.log").kill()
