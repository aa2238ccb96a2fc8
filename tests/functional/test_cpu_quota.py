"""A build server in a control group with a CPU quota, which it learns of by itself."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from farmkit.busybox_jobs import id_of, shell, write_inputs, write_toolchain
from farmkit.farm import Farm
from farmkit.launch import CHECKOUT, OUR_SCHEDULER, OUR_SERVER, PROGRAMS, adding
from farmkit.load_client import LoadClient
from farmkit.processes import Command, inherited
from sccachedist.builders.cpus import usable_cpus
from sccachedist.wire.messages import job_capacity
from tests.functional.test_doctor import config_of
from tests.support.control_groups import in_group, nested_groups

pytestmark = pytest.mark.functional

#: The group's own quota is larger, if it has any.
QUOTA = {"cpu.cfs_quota_us": "95000", "cpu.max": "95000 100000"}
LARGER = {"cpu.cfs_quota_us": "195000", "cpu.max": "195000 100000"}
#: The seconds for which jobs sleep, which no other process does.
SLEEP = "10.03"


@pytest.mark.parametrize(("capacity", "offered"), [({}, 1), ({"capacity": "cpus = 7"}, 7)], ids=["", "configured"])
def test_what_is_offered_under_a_quota(tmp_path: Path, capacity: dict[str, str], offered: int) -> None:
    """The least quota along the path, rounded up, unless a number is configured; the doctor says what it found."""
    assert usable_cpus() > 1
    with nested_groups("cpu", tmp_path.name, QUOTA) as group:
        launch = in_group(adding(OUR_SERVER, **capacity), group)
        with Farm(tmp_path, OUR_SCHEDULER, launch) as farm:
            assert json.loads(farm.ask("status"))["num_cpus"] == offered
            doctor = (str(PROGRAMS / "sccachedist"), "doctor", "--config", str(config_of(farm, "server")))
            enter = ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *doctor)
            ended = Command(enter, inherited(PYTHONPATH=str(CHECKOUT)), CHECKOUT).run()
    line = next(line for line in ended.stdout.splitlines() if "capacity.cpus: " in line)
    assert f"capacity.cpus: offers {offered}" in line
    assert f"a quota of 0.95 by {group.parent}" in line


def test_a_quota_that_changes(tmp_path: Path) -> None:
    """The scheduler hears of it, and as many jobs run at a time as it gives."""
    archive, inputs = write_toolchain(tmp_path / "t", {}), write_inputs(tmp_path / "inputs", {"/x": b""})
    with nested_groups("cpu", tmp_path.name, QUOTA) as group, ExitStack() as ending:
        farm = ending.enter_context(Farm(tmp_path, OUR_SCHEDULER, in_group(OUR_SERVER, group)))
        client = LoadClient.of(farm)
        client.first_compile(archive, id_of(archive), shell("echo 1 >/o", "/o"), inputs)
        assert farm.status().num_cpus == 1
        file, quota = next(found for found in LARGER.items() if (group.parent / found[0]).exists())
        (group.parent / file).write_text(quota)
        farm.server.wait_until(
            lambda: "a CPU quota has changed: 2 CPUs are offered" in farm.server.log.read_text(), 60, "it is seen"
        )
        farm.scheduler.wait_until(lambda: farm.status().num_cpus == 2, 60, "it is told")
        jobs = [client.alloc(id_of(archive)) for _ in range(job_capacity(2))]
        request = shell(f"sleep {SLEEP}; echo 1 >/o", "/o")
        threads = ending.enter_context(ThreadPoolExecutor(len(jobs)))
        running = [threads.submit(client.run, job, request, inputs) for job in jobs]
        farm.server.wait_until(lambda: sleeping() == len(jobs), 60, "all of them run")
        assert {each.result().output.code for each in running} == {0}


def sleeping() -> int:
    """How many jobs sleep."""
    commands = (read_if_there(file) for file in Path("/proc").glob("[0-9]*/cmdline"))
    return sum(command.split(b"\0")[:2] == [b"sleep", SLEEP.encode()] for command in commands)


def read_if_there(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # the process has ended
        return b""
