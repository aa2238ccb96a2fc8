"""Daemons with a CPU quota that may change while they run: a control group each, version 1 or 2. For root alone.

Other work on the machine takes next to nothing of a quota, as long as all quotas together fit.

What the daemons do is not known here.
"""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import attrs

from farmkit.launch import Launch
from farmkit.processes import Command
from sccachedist.builders.cgroup_hierarchies import hierarchies

_PERIOD_US = 100_000
_NSEC, _USEC = 1e9, 1e6
#: The largest weights that there are, by the files of either version.
_WEIGHTS = {"cpu.shares": 262_144, "cpu.weight": 10_000}


@attrs.frozen
class Quota:
    """A control group with a quota.

    :param groups: of the controller that limits the CPU, and of that which counts it: one and the same, or two.
    """

    groups: tuple[Path, ...]

    def set(self, cpus: float) -> None:
        """Let its processes have so many CPUs from now on."""
        limit, quota = self.groups[0], round(cpus * _PERIOD_US)
        v1 = limit / "cpu.cfs_quota_us"
        if v1.exists():
            v1.write_text(str(quota))
        else:
            (limit / "cpu.max").write_text(f"{quota} {_PERIOD_US}")

    def cpu_secs(self) -> float:
        """The CPU seconds that its processes have taken."""
        counted = self.groups[-1]
        v1 = counted / "cpuacct.usage"
        if v1.exists():
            return int(v1.read_text()) / _NSEC
        fields = dict(line.split() for line in (counted / "cpu.stat").read_text().splitlines())
        return int(fields["usage_usec"]) / _USEC

    def limited(self, launch: Launch) -> Launch:
        """The same daemon within the quota."""

        def launched(config: Path) -> Command:
            command = launch(config)
            enter = "".join(f"echo $$ > {group}/cgroup.procs && " for group in self.groups)
            return attrs.evolve(command, arguments=("sh", "-c", f'{enter} exec "$0" "$@"', *command.arguments))

        return launched


@contextlib.contextmanager
def quota(cpus: float) -> Iterator[Quota]:
    """A group with a quota. It goes when its processes have ended."""
    mounts, memberships = (Path("/proc/self", each).read_text() for each in ("mountinfo", "cgroup"))
    found = (hierarchies(mounts, memberships, (controller,))[0] for controller in ("cpu", "cpuacct"))
    name = f"bench-{secrets.token_hex(4)}"
    groups = tuple(dict.fromkeys(Path(hierarchy.own, name) for hierarchy in found))
    for group in groups:
        group.mkdir()
    try:
        made = Quota(groups)
        for file, weight in _WEIGHTS.items():
            if (groups[0] / file).exists():
                (groups[0] / file).write_text(str(weight))
        made.set(cpus)
        yield made
    finally:
        for group in groups:
            group.rmdir()
