"""Where the kernel lets this process make control groups, from what ``/proc`` says of it: pure.

With version 1 each controller has a hierarchy of its own, with version 2 all share one. Whether groups may really be
made there is not known here.
"""

import posixpath

import attrs

#: What limits a job: its memory, and how many processes and threads it has.
CONTROLLERS = ("memory", "pids")


@attrs.frozen
class Hierarchy:
    """A tree of control groups.

    :param controllers: those of :data:`CONTROLLERS` that it has; of version 2, its groups tell.
    :param own: the directory of the group that the process is in.
    """

    version: int
    controllers: tuple[str, ...]
    own: str


def hierarchies(mounts: str, memberships: str) -> tuple[Hierarchy, ...]:
    """Give the hierarchies that may limit a job, those of version 1 first: a controller is in one of them alone.

    :param mounts: the text of ``/proc/self/mountinfo``.
    :param memberships: the text of ``/proc/self/cgroup``.
    """
    members = dict(_membership(line) for line in memberships.splitlines())
    found = [_hierarchy(line.split(" "), members) for line in mounts.splitlines()]
    return tuple(sorted((each for each in found if each is not None), key=lambda each: each.version))


def _membership(line: str) -> tuple[frozenset[str], str]:
    """The controllers of a line ``4:memory:/path``, none for version 2, and the path."""
    _, controllers, path = line.split(":", 2)
    return frozenset(filter(None, controllers.split(","))), path


def _hierarchy(fields: list[str], members: dict[frozenset[str], str]) -> Hierarchy | None:
    root, place = fields[3:5]
    kind, _, options = fields[fields.index("-") + 1 :][:3]
    match kind:
        case "cgroup":
            controllers = tuple(each for each in CONTROLLERS if each in options.split(","))
            path = next((path for held, path in members.items() if held.intersection(controllers)), None)
            return None if path is None else Hierarchy(1, controllers, _below(place, root, path))
        case "cgroup2" if frozenset() in members:
            return Hierarchy(2, (), _below(place, root, members[frozenset()]))
        case _:
            return None


def _below(place: str, root: str, path: str) -> str:
    """Where a group is, seen through a mount of the group ``root``; in a container it may lie above that."""
    inner = posixpath.relpath(path, root)
    return place if inner == "." or inner.startswith("..") else posixpath.join(place, inner)
