"""A build server in a control group with a CPU quota, which it learns of by itself."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import CHECKOUT, OUR_SCHEDULER, OUR_SERVER, PROGRAMS, Launch, adding
from farmkit.processes import Command, inherited
from sccachedist.builders.cgroup_hierarchies import hierarchies
from sccachedist.builders.cpus import usable_cpus
from tests.functional.test_doctor import config_of

pytestmark = pytest.mark.functional


@contextlib.contextmanager
def group_with_a_quota(name: str) -> Iterator[Path]:
    """A group within one that may use one CPU; its own quota is larger, if it has any."""
    mounts, memberships = (Path("/proc/self", each).read_text() for each in ("mountinfo", "cgroup"))
    hierarchy = hierarchies(mounts, memberships, ("cpu",))[0]  # version 1 if the controller is there
    outer = Path(hierarchy.own, name)
    inner = outer / "inner"
    inner.mkdir(parents=True)
    try:
        if hierarchy.version == 1:
            (outer / "cpu.cfs_quota_us").write_text("95000")
        else:
            (outer / "cpu.max").write_text("95000 100000")
        yield inner
    finally:
        inner.rmdir()
        outer.rmdir()


def in_group(launch: Launch, group: Path) -> Launch:
    """The same daemon in a control group."""

    def launch_there(config: Path) -> Command:
        command = launch(config)
        enter = f"echo $$ > {group}/cgroup.procs"
        return attrs.evolve(command, arguments=("sh", "-c", f'{enter} && exec "$@"', "sh", *command.arguments))

    return launch_there


@pytest.mark.parametrize(("capacity", "offered"), [({}, 1), ({"capacity": "cpus = 7"}, 7)], ids=["", "configured"])
def test_what_is_offered_under_a_quota(tmp_path: Path, capacity: dict[str, str], offered: int) -> None:
    """The least quota along the path, rounded up, unless a number is configured; the doctor says what it found."""
    assert usable_cpus() > 1
    with group_with_a_quota(tmp_path.name) as group:
        launch = in_group(adding(OUR_SERVER, **capacity), group)
        with Farm(tmp_path, OUR_SCHEDULER, launch) as farm:
            assert json.loads(farm.ask("status"))["num_cpus"] == offered
            doctor = (str(PROGRAMS / "sccachedist"), "doctor", "--config", str(config_of(farm, "server")))
            enter = ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *doctor)
            ended = Command(enter, inherited(PYTHONPATH=str(CHECKOUT)), CHECKOUT).run()
    line = next(line for line in ended.stdout.splitlines() if "capacity.cpus: " in line)
    assert f"capacity.cpus: offers {offered}" in line
    assert f"a quota of 0.95 by {group.parent}" in line
