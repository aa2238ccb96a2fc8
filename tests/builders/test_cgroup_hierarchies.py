"""Control groups as ``/proc`` describes them on hosts of each kind."""

import pytest

from sccachedist.builders.cgroup_hierarchies import Hierarchy, hierarchies

_V1 = """\
30 20 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
34 30 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
"""
_V1_MEMBER = "9:pids:/system.slice/farm.service\n4:memory:/\n1:cpu,cpuacct:/x\n0::/system.slice/farm.service\n"
_V2 = "29 22 0:25 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"

CASES = {
    "version 1, with an empty version 2 beside it": (
        _V1,
        _V1_MEMBER,
        (
            Hierarchy(1, ("memory",), "/sys/fs/cgroup/memory"),
            Hierarchy(1, ("pids",), "/sys/fs/cgroup/pids/system.slice/farm.service"),
            Hierarchy(2, (), "/sys/fs/cgroup/unified/system.slice/farm.service"),
        ),
    ),
    "version 2": (
        _V2,
        "0::/system.slice/farm.service\n",
        (Hierarchy(2, (), "/sys/fs/cgroup/system.slice/farm.service"),),
    ),
    "a path with a colon": (_V2, "0::/a:b\n", (Hierarchy(2, (), "/sys/fs/cgroup/a:b"),)),
    "two controllers at one mount": (
        "33 30 0:29 / /cg rw - cgroup cgroup rw,memory,pids\n",
        "4:memory,pids:/me\n",
        (Hierarchy(1, ("memory", "pids"), "/cg/me"),),
    ),
    "a container that sees its own group alone": (
        "29 22 0:25 /docker/abc /sys/fs/cgroup ro - cgroup cgroup rw,memory\n",
        "4:memory:/docker/abc/inner\n",
        (Hierarchy(1, ("memory",), "/sys/fs/cgroup/inner"),),
    ),
    "a process outside of what is mounted": (
        "29 22 0:25 /docker/abc /sys/fs/cgroup ro - cgroup cgroup rw,memory\n",
        "4:memory:/elsewhere\n",
        (Hierarchy(1, ("memory",), "/sys/fs/cgroup"),),
    ),
    "nothing that limits": ("32 30 0:28 / /cg/cpu rw - cgroup cgroup rw,cpu\n", "1:cpu:/x\n0::/\n", ()),
    "no groups at all": ("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "", ()),
}


@pytest.mark.parametrize("case", CASES)
def test_where_groups_may_be_made(case: str) -> None:
    """The directory of the process's own group, as it is mounted here."""
    mounts, memberships, expected = CASES[case]
    assert hierarchies(mounts, memberships) == expected
