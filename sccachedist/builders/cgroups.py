"""The control groups that sandbox workers put themselves into, from the side of the daemon: Linux only.

Below the daemon's own group lies one that bears the name of its build directory, and in it each worker makes one for
itself. What cannot be had is left out: whoever runs a daemon decides what it may do.
"""

import contextlib
import os
import zlib
from pathlib import Path

import attrs

from sccachedist.builders.cgroup_hierarchies import CONTROLLERS, Hierarchy, hierarchies
from sccachedist.sandbox.overlay.worker_groups import sweep, worker_groups

#: What limits a job where its worker has no control group, by controller.
WITHOUT_GROUPS = {
    "memory": "added up several times a second, without what the kernel keeps for it; each process by RLIMIT_DATA",
    "pids": "by RLIMIT_NPROC, which does not hold for root",
}

_DAEMON = "daemon"
_PROCESSES = "cgroup.procs"
_SWITCHES = "cgroup.subtree_control"


@attrs.frozen
class Limited:
    """What limits a controller's share of a job, or why nothing does.

    :param parent: where workers make their groups, empty where they cannot.
    """

    controller: str
    parent: str
    reason: str = ""


@attrs.frozen
class Groups:
    """Where the workers of one builder make their groups.

    :param name: what ours is called in every hierarchy.
    """

    name: str
    found: tuple[Hierarchy, ...]

    def prepare(self, owner: int | None = None) -> tuple[Limited, ...]:
        """Make what the workers need, and remove what is left of earlier ones. It can be called again.

        :param owner: the user who the daemon will be from now on.
        """
        return tuple(self._prepared(controller, owner) for controller in CONTROLLERS)

    @property
    def parents(self) -> tuple[str, ...]:
        """The directories that :meth:`prepare` makes, as far as it can."""
        return tuple(str(Path(each.own, self.name)) for each in self.found)

    def clear(self) -> bool:
        """Remove the groups that nobody is in; returns whether no worker is in any.

        Who made them as root and is somebody else by now has to leave the outermost one, empty.
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
        _give([parent, parent / _PROCESSES], owner)
        sweep(parent)
        return str(parent)


def own_groups(home: Path) -> Groups:
    """The groups of the builder that owns a directory."""
    name = f"sccachedist-{zlib.crc32(os.fsencode(home)):08x}"
    with contextlib.suppress(OSError):
        memberships = Path("/proc/self/cgroup").read_text("utf-8", "surrogateescape")
        found = hierarchies(Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape"), memberships)
        return Groups(name, tuple(_without(each) for each in found))
    return Groups(name, ())


def _without(hierarchy: Hierarchy) -> Hierarchy:
    """The daemon may be in the group already that an earlier start of a builder has moved it to."""
    own = Path(hierarchy.own)
    return attrs.evolve(hierarchy, own=str(own.parent)) if own.name == _DAEMON else hierarchy


def _pass_on(own: Path, controller: str, owner: int | None) -> None:
    """Let the groups below a delegated one have a controller; none may then be in that one itself.

    :raises OSError: it is not delegated, or others are in it too.
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


def _switch_on(group: Path, controller: str) -> None:
    if controller not in (group / _SWITCHES).read_text().split():
        (group / _SWITCHES).write_text(f"+{controller}")


def _give(paths: list[Path], owner: int | None) -> None:
    if owner is not None:
        for path in paths:
            os.chown(path, owner, -1)
