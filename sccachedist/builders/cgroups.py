"""Prepares the parent control group in which each sandbox worker makes its own, in the daemon: Linux only.

The parent lies below the daemon's own group, its name made from the build directory. The limits are set by
:mod:`sccachedist.sandbox.overlay.resource_limits`; where groups can be made is found by
:mod:`sccachedist.builders.cgroup_hierarchies`. A controller that the host does not delegate is left out, and the log
says why: how much the daemon may do is its operator's decision.
"""

import contextlib
import os
import zlib
from pathlib import Path

import attrs

from sccachedist.builders.cgroup_hierarchies import CONTROLLERS, Hierarchy, groups_above, hierarchies
from sccachedist.sandbox.overlay.worker_groups import sweep, worker_groups

#: What limits a job whose worker has no control group, by controller; for the log.
WITHOUT_GROUPS = {
    "memory": "added up several times a second, without what the kernel keeps for it; each process by RLIMIT_DATA",
    "pids": "by RLIMIT_NPROC, which does not hold for root",
    "cpu": "by the scheduling of each process",
}

#: The controller of CPU time, and the least weight of a group.
CPU, LEAST_WEIGHT = "cpu", 1
_USUAL_WEIGHT, _USUAL_SHARES, _LEAST_SHARES = 100, 1024, 2

_TEXTS = ("mountinfo", "cgroup")
_DAEMON = "daemon"
_PROCESSES = "cgroup.procs"
_SWITCHES = "cgroup.subtree_control"


@attrs.frozen
class Limited:
    """Whether a controller limits jobs, and why not.

    :param parent: the directory where workers make their groups, or empty if they cannot.
    """

    controller: str
    parent: str
    reason: str = ""


@attrs.frozen
class Groups:
    """Where the workers of one builder make their groups.

    :param name: of the parent group, the same in every hierarchy.
    :param cpu_weight: of the parent group where CPUs are short, 100 is usual; None if that is not to be limited.
    """

    name: str
    found: tuple[Hierarchy, ...]
    cpu_weight: int | None = None

    @property
    def controllers(self) -> tuple[str, ...]:
        """Those that are to limit jobs."""
        return CONTROLLERS if self.cpu_weight is None else (*CONTROLLERS, CPU)

    def prepare(self, owner: int | None = None) -> tuple[Limited, ...]:
        """Make the parent groups, and remove groups of earlier workers. It can be called several times.

        :param owner: the user id that the daemon will have from now on.
        """
        return tuple(self._prepared(controller, owner) for controller in self.controllers)

    @property
    def parents(self) -> tuple[str, ...]:
        """The directories that :meth:`prepare` makes where it can."""
        return tuple(str(Path(each.own, self.name)) for each in self.found)

    def clear(self) -> bool:
        """Remove the empty groups; returns whether no worker's group is left.

        A daemon that made them as root and runs as another user by now has to leave the parent groups, empty.
        """
        for parent in filter(os.path.isdir, self.parents):
            sweep(parent)
            with contextlib.suppress(OSError):
                os.rmdir(parent)
        return not any(any(worker_groups(parent)) for parent in filter(os.path.isdir, self.parents))

    def _prepared(self, controller: str, owner: int | None) -> Limited:
        reasons = []
        for hierarchy in self.found:
            if hierarchy.version == 1 and controller not in hierarchy.controllers:
                continue
            try:
                return Limited(controller, self._made(hierarchy, controller, owner))
            except OSError as error:
                reasons.append(f"{error.strerror}: {error.filename}")
        return Limited(controller, "", (reasons or ["no control groups are mounted for it"])[0])

    def _made(self, hierarchy: Hierarchy, controller: str, owner: int | None) -> str:
        parent = Path(hierarchy.own, self.name)
        if hierarchy.version == 2:
            _pass_on(Path(hierarchy.own), controller, owner)
        parent.mkdir(mode=0o755, exist_ok=True)
        if hierarchy.version == 2:
            _switch_on(parent, controller)
        if controller == CPU and self.cpu_weight is not None:
            _weigh(parent, hierarchy.version, self.cpu_weight)
        _give([parent, parent / _PROCESSES], owner)
        sweep(parent)
        return str(parent)


def own_groups(home: Path, cpu_weight: int | None = None) -> Groups:
    """Return the groups of the builder that owns ``home``; the weight is as in :class:`Groups`."""
    groups = Groups(f"sccachedist-{zlib.crc32(os.fsencode(home)):08x}", (), cpu_weight)
    with contextlib.suppress(OSError):
        found = hierarchies(*_mounts_and_memberships(), groups.controllers)
        return attrs.evolve(groups, found=tuple(_without(each) for each in found))
    return groups


def own_and_above(controller: str) -> tuple[tuple[int, str], ...]:
    """Return the version and the directory of each group that may limit this process: its own, and all above."""
    with contextlib.suppress(OSError):
        found = groups_above(*_mounts_and_memberships(), controller)
        return tuple((version, group) for version, group in found if Path(group, _PROCESSES).exists())
    return ()


def _mounts_and_memberships() -> tuple[str, str]:
    mounts, memberships = (Path("/proc/self", name).read_text("utf-8", "surrogateescape") for name in _TEXTS)
    return mounts, memberships


def _without(hierarchy: Hierarchy) -> Hierarchy:
    """Take the parent, if an earlier :func:`_pass_on` has moved the daemon to a group of its own."""
    own = Path(hierarchy.own)
    return attrs.evolve(hierarchy, own=str(own.parent)) if own.name == _DAEMON else hierarchy


def _pass_on(own: Path, controller: str, owner: int | None) -> None:
    """Enable a controller for the groups below ``own``, and move the daemon to a group there.

    Version 2 allows no process in a group that passes a controller on.

    :raises OSError: the controller is not delegated, or other processes are in ``own`` too.
    """
    if controller in (own / _SWITCHES).read_text().split():
        return
    if controller not in (own / "cgroup.controllers").read_text().split():
        raise FileNotFoundError(2, f"no {controller} controller, delegate it (systemd: Delegate=yes)", str(own))
    daemon = own / _DAEMON
    daemon.mkdir(mode=0o755, exist_ok=True)
    (daemon / _PROCESSES).write_text(str(os.getpid()))
    _give([own / _PROCESSES], owner)
    _switch_on(own, controller)


def _weigh(group: Path, version: int, weight: int) -> None:
    """Set the weight of a group beside others; with the least, it gets what they leave, if the kernel knows of that."""
    with contextlib.suppress(OSError):  # a group that is idle has no weight to set
        (group / "cpu.idle").write_text("0")
    if version == 2:
        (group / "cpu.weight").write_text(str(weight))
    else:
        (group / "cpu.shares").write_text(str(max(_LEAST_SHARES, weight * _USUAL_SHARES // _USUAL_WEIGHT)))
    if weight == LEAST_WEIGHT:
        with contextlib.suppress(OSError):
            (group / "cpu.idle").write_text("1")


def _switch_on(group: Path, controller: str) -> None:
    if controller not in (group / _SWITCHES).read_text().split():
        (group / _SWITCHES).write_text(f"+{controller}")


def _give(paths: list[Path], owner: int | None) -> None:
    if owner is not None:
        for path in paths:
            os.chown(path, owner, -1)
