"""CPUs within the quotas of control groups, as hosts and containers of each kind show them."""

import os
from pathlib import Path

import pytest

from sccachedist.builders.cpus import Quota, allowed_cpus, least_quota, quota_of, usable_cpus

_V1 = """\
30 20 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
"""
_V1_MEMBER = "5:cpuset:/\n4:cpu,cpuacct:/a/b\n0::/a/b\n"
_V2 = "29 22 0:25 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
_INSIDE = "29 22 0:25 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"

CASES = {
    "version 2, the least along the path": (
        _V2,
        "0::/a.slice/b.service/c\n",
        {
            "cgroup/a.slice/cpu.max": "150000 100000\n",
            "cgroup/a.slice/b.service/cpu.max": "max 100000\n",
            "cgroup/a.slice/b.service/c/cpu.max": "1600000 1000000\n",
        },
        Quota(1.5, "/sys/fs/cgroup/a.slice"),
    ),
    "version 2, a controller that is off below": (
        _V2,
        "0::/a/b\n",
        {"cgroup/a/cpu.max": "300000 100000"},
        Quota(3.0, "/sys/fs/cgroup/a"),
    ),
    "version 2, another's group": (_V2, "0::/a\n", {"cgroup/b/cpu.max": "1000 100000"}, None),
    "version 2 in a container": (_V2, "0::/\n", {"cgroup/cpu.max": "50000 100000"}, Quota(0.5, "/sys/fs/cgroup")),
    "version 1, the least along the path": (
        _V1,
        _V1_MEMBER,
        {
            "cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "900000\n",
            "cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
            "cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us": "20000\n",
            "cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us": "10000\n",
            "cgroup/cpuset/cpu.cfs_quota_us": "1\n",
        },
        Quota(2.0, "/sys/fs/cgroup/cpu,cpuacct/a/b"),
    ),
    "version 1 in a container": (
        _INSIDE,
        "4:cpu:/docker/abc\n",
        {"cgroup/cpu/cpu.cfs_quota_us": "250000\n", "cgroup/cpu/cpu.cfs_period_us": "100000\n"},
        Quota(2.5, "/sys/fs/cgroup/cpu"),
    ),
    "no quota": (_V2, "0::/a\n", {"cgroup/a/cpu.max": "max 100000\n"}, None),
    "no control groups": ("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "", {}, None),
    "no files at all": (None, None, {}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_the_least_quota(tmp_path: Path, case: str) -> None:
    """Of the process's own group and all above it."""
    mounts, memberships, files, expected = CASES[case]
    for name, text in {"proc/mountinfo": mounts, "proc/cgroup": memberships}.items():
        if text is not None:
            written(tmp_path / name, text)
    for name, text in files.items():
        written(tmp_path / "sys/fs" / name, text)
    assert least_quota(tmp_path / "proc", tmp_path) == expected


def written(path: Path, text: str) -> None:
    """A file, and the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("words", "cpus"),
    [
        (["100000", "100000"], 1.0),
        (["250000", "100000"], 2.5),
        (["max", "100000"], None),
        (["-1", "100000"], None),
        (["0", "100000"], None),
        (["1000", "0"], None),
        (["1000"], None),
        ([], None),
        (["", ""], None),
        (["²", "1"], None),
    ],
)
def test_a_quota(words: list[str], cpus: float | None) -> None:
    """What stands in the files; what is no quota is none."""
    assert quota_of(words) == cpus


@pytest.mark.parametrize(("cpus", "whole"), [(0.01, 1), (1.0, 1), (1.01, 2), (2.5, 3), (3.0, 3)])
def test_fractions(cpus: float, whole: int) -> None:
    """They are rounded up: so many CPUs are busy at least now and then."""
    assert Quota(cpus, "").whole == whole


@pytest.mark.parametrize(("quota", "usable"), [(None, 4), (Quota(2.5, ""), 3), (Quota(9.0, ""), 4)])
def test_usable_cpus(monkeypatch: pytest.MonkeyPatch, quota: Quota | None, usable: int) -> None:
    """No more than the process may run on, and no more than the quota."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.setattr("sccachedist.builders.cpus.least_quota", lambda: quota)
    assert (allowed_cpus(), usable_cpus()) == (4, usable)


def test_systems_that_do_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPUs that may be used count, not those that the machine has; systems that cannot tell count them all."""
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert allowed_cpus() == 1
