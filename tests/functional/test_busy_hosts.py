"""A build server on a host that others use: it takes its CPUs back, and its jobs give way. For root, for the groups."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.load_client import LoadClient
from farmkit.processes import wait_until
from sccachedist.builders.cgroups import own_groups
from sccachedist.builders.overlay import HOME
from sccachedist.outcomes import Lack
from sccachedist.records.documents import ServersDocument
from sccachedist.server.host_usage import HostUsage, worked
from sccachedist.wire.messages import AllocJobFail
from tests.support.farm_api import farm_document

pytestmark = pytest.mark.functional


@contextmanager
def others_at_work() -> Iterator[None]:
    """Twice as many processes as there are CPUs that do nothing but count."""
    with ExitStack() as running:
        for _ in range(2 * (os.cpu_count() or 1)):
            busy = running.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            running.callback(busy.kill)
        yield


def test_other_work(tmp_path: Path) -> None:
    """Within seconds no job is given to a server whose CPUs others want, and its clients do not wait for it."""
    settings = "[capacity]\ncpus = 2\nidle_only = true\n"
    with Farm(tmp_path, server_settings=settings, scheduler_settings="[queue]\nmax_wait_secs = 300\n") as farm:

        def state() -> tuple[str, str]:
            (row,) = farm_document(farm, "servers", ServersDocument)["servers"]
            return row["state"], row["why"]

        with others_at_work():
            wait_until(lambda: state()[0] == "busy", 60, "its CPUs are taken back")
            assert Lack.BUSY.means[1:-1] in state()[1]
            assert isinstance(LoadClient.of(farm).try_alloc(id_of(write_toolchain(tmp_path / "t", {}))), AllocJobFail)
        assert "no jobs for now: Its host is busy with other work" in farm.server.log.read_text()


def test_jobs_give_way(tmp_path: Path) -> None:
    """They have the nice value and the weight that the operator gave them."""
    archive, inputs = write_toolchain(tmp_path / "t", {}), write_inputs(tmp_path / "inputs", {"/x": b""})
    with Farm(tmp_path, server_settings="[capacity]\nnice = 7\ncpu_weight = 20\n") as farm:
        request = shell("set -- $(cat /proc/self/stat); test ${19} = 7 && echo 1 >/o", "/o")
        LoadClient.of(farm).first_compile(archive, id_of(archive), request, inputs)
        assert "cpu of a job: limited by control groups" in farm.server.log.read_text()
        parents = [Path(each) for each in own_groups(farm.server_folder / "build" / HOME, 20).parents]
        weights = [each / name for each in parents for name in ("cpu.shares", "cpu.weight") if (each / name).exists()]
        assert [each.read_text().strip() for each in weights] in (["204"], ["20"])


def test_a_job_that_is_killed() -> None:
    """The kernel lets its work go with its PID namespace: what is worked after that is known as the daemon's own."""
    burn = "import time\nwhile time.process_time() < {}: pass\nprint('.', flush=True)\ninput()"
    usage = HostUsage(frozenset())
    sandbox = ["bwrap", "--unshare-pid", "--die-with-parent", "--dev-bind", "/", "/", "--", sys.executable, "-c"]
    with subprocess.Popen([*sandbox, burn.format(2)], stdin=PIPE, stdout=PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == ".\n"
        before = usage._own()
        job.kill()
    after = usage._own()
    assert sum(each.ticks for each in after.values()) < sum(each.ticks for each in before.values())
    with subprocess.Popen([sys.executable, "-c", burn.format(1)], stdin=PIPE, stdout=PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == ".\n"
        assert worked(before, usage._own()) >= 0.9 * os.sysconf("SC_CLK_TCK")
        job.kill()
