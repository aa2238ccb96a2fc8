"""Control groups for daemons, of the version that this host has a controller in."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import attrs

from farmkit.launch import Launch
from farmkit.processes import Command
from sccachedist.builders.cgroup_hierarchies import hierarchies


@contextlib.contextmanager
def nested_groups(controller: str, name: str, limits: dict[str, str]) -> Iterator[Path]:
    """A group within one with a limit, given for each file that it has in version 1 or 2; yields the inner one."""
    mounts, memberships = (Path("/proc/self", each).read_text() for each in ("mountinfo", "cgroup"))
    hierarchy = hierarchies(mounts, memberships, (controller,))[0]  # version 1 if the controller is there
    outer = Path(hierarchy.own, name)
    inner = outer / "inner"
    inner.mkdir(parents=True)
    try:
        for file in filter(Path.exists, (outer / each for each in limits)):
            file.write_text(limits[file.name])
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
