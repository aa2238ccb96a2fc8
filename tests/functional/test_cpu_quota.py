"""A build server in a control group with a CPU quota, which it learns of by itself."""

import json
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import CHECKOUT, OUR_SCHEDULER, OUR_SERVER, PROGRAMS, adding
from farmkit.processes import Command, inherited
from sccachedist.builders.cpus import usable_cpus
from tests.functional.test_doctor import config_of
from tests.support.control_groups import in_group, nested_groups

pytestmark = pytest.mark.functional

#: The group's own quota is larger, if it has any.
QUOTA = {"cpu.cfs_quota_us": "95000", "cpu.max": "95000 100000"}


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
