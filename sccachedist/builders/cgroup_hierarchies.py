"""Finds where this process is in control groups, and can make some, in texts of ``/proc``: pure.

With version 1 each controller has a hierarchy of its own, with version 2 all share one. Whether the process has the
right to make groups there, :mod:`sccachedist.builders.cgroups` finds out.
"""

import posixpath
from pathlib import PurePosixPath

import attrs

#: The controllers that limit a job: its memory, and its number of processes and threads.
CONTROLLERS = ("memory", "pids")


@attrs.frozen
class Hierarchy:
    """A tree of control groups.

    :param controllers: those that it has of the ones that were asked for; empty for version 2, where each group lists
        its own.
    :param own: the directory of the group that the process is in.
    """

    version: int
    controllers: tuple[str, ...]
    own: str


def hierarchies(mounts: str, memberships: str, wanted: tuple[str, ...] = CONTROLLERS) -> tuple[Hierarchy, ...]:
    """Return the hierarchies that may have these controllers, version 1 first; a controller is in only one of them.

    :param mounts: the text of ``/proc/self/mountinfo``.
    :param memberships: the text of ``/proc/self/cgroup``.
    """
    members = dict(_membership(line) for line in memberships.splitlines())
    found = [_hierarchy(line.split(" "), members, wanted) for line in mounts.splitlines()]
    return tuple(sorted((each for each in found if each is not None), key=lambda each: each.version))


def groups_above(mounts: str, memberships: str, controller: str) -> tuple[tuple[int, str], ...]:
    """Return the version and the directory of each group that may limit this process: its own, and all above.

    :param mounts: the text of ``/proc/self/mountinfo``.
    :param memberships: the text of ``/proc/self/cgroup``.
    """
    return tuple(
        (hierarchy.version, str(group))
        for hierarchy in hierarchies(mounts, memberships, (controller,))
        for group in (PurePosixPath(hierarchy.own), *PurePosixPath(hierarchy.own).parents)
    )


def _membership(line: str) -> tuple[frozenset[str], str]:
    """Split a line ``4:memory:/path`` into its controllers, none for version 2, and the path."""
    _, controllers, path = line.split(":", 2)
    return frozenset(filter(None, controllers.split(","))), path


def _hierarchy(fields: list[str], members: dict[frozenset[str], str], wanted: tuple[str, ...]) -> Hierarchy | None:
    root, place = fields[3:5]
    kind, _, options = fields[fields.index("-") + 1 :][:3]
    match kind:
        case "cgroup":
            controllers = tuple(each for each in wanted if each in options.split(","))
            path = next((path for held, path in members.items() if held.intersection(controllers)), None)
            return None if path is None else Hierarchy(1, controllers, _below(place, root, path))
        case "cgroup2" if frozenset() in members:
            return Hierarchy(2, (), _below(place, root, members[frozenset()]))
        case _:
            return None


def _below(place: str, root: str, path: str) -> str:
    """Return a group's directory under a mount of the group ``root``; in a container the group may lie above that."""
    inner = posixpath.relpath(path, root)
    return place if inner == "." or inner.startswith("..") else posixpath.join(place, inner)
