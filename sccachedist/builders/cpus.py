"""How many CPUs this process may use: those of its affinity, within the quotas of its control groups.

A quota is what Docker's ``--cpus`` and systemd's ``CPUQuota=`` set, for a group and all groups below it. It may change
while a daemon runs. What a build server offers if it is told a number is not known here.
"""

import math
import os
from pathlib import Path

import attrs

from sccachedist.builders.cgroup_hierarchies import groups_above

_PROC = Path("/proc/self")


@attrs.frozen
class Quota:
    """The CPUs that a control group may use, as a fraction of time: 2.5 are five seconds of CPU in two.

    :param group: the directory of the group.
    """

    cpus: float
    group: str

    @property
    def whole(self) -> int:
        """The CPUs that it takes to use all of it."""
        return max(1, math.ceil(self.cpus))


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use, or of all CPUs if the system does not tell."""
    allowed = allowed_cpus()
    quota = least_quota()
    return allowed if quota is None else min(allowed, quota.whole)


def allowed_cpus() -> int:
    """Return the number of CPUs that this process may run on, without regard to its quota."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def least_quota(proc: Path = _PROC, root: Path = Path("/")) -> Quota | None:
    """Return the least quota of this process's groups and all above them; None if there is none.

    :param proc: has ``mountinfo`` and ``cgroup``, as ``/proc/self`` has.
    :param root: the directory below which the control groups are mounted.
    """
    quotas = []
    for version, group in groups_above(_text(proc / "mountinfo"), _text(proc / "cgroup"), "cpu"):
        here = root / group.lstrip("/")
        words = _text(here / "cpu.max").split()
        if version == 1:
            words = [_text(here / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        if (cpus := quota_of(words)) is not None:
            quotas.append(Quota(cpus, group))
    return min(quotas, key=lambda quota: quota.cpus, default=None)


def quota_of(words: list[str]) -> float | None:
    """Return the CPUs that a quota amounts to: ``["max", "100000"]`` and ``["-1", "100000"]`` are none.

    :param words: the microseconds of CPU that a group may use in each period, and those of the period.
    """
    if len(words) != 2 or not all(word.isascii() and word.isdigit() and int(word) for word in words):
        return None
    return int(words[0]) / int(words[1])


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "surrogateescape")
    except OSError:  # it is not there in this version, or the controller is off
        return ""
