"""A build server that runs as nobody, also where nobody could not read the checkout or the interpreter.

Their folders are shown to it in a mount namespace of its own; outside of that, no permission changes.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import attrs

from farmkit.launch import CHECKOUT, Launch
from farmkit.processes import Command

_USER = "nobody"
_DROP = f"exec setpriv --reuid={_USER} --regid=nogroup --clear-groups --bounding-set=-all --inh-caps=-all"
_SPARE = "/mnt"


def unprivileged(launch: Launch) -> Launch:
    """The same daemon without privileges; as it is, where the suite runs without any itself."""

    def launch_as_nobody(config: Path) -> Command:
        command = launch(config)
        if os.geteuid() != 0:
            return command
        _give_away(config.parent)
        enter = f"cd {shlex.quote(str(config.parent))}"
        steps = ["set -e", *_views(config.parent), enter, f"{_DROP} {shlex.join(command.arguments)}"]
        return attrs.evolve(command, arguments=("unshare", "--mount", "sh", "-c", "\n".join(steps)))

    return launch_as_nobody


def dropping(launch: Launch) -> Launch:
    """A daemon that root starts, and that is to become nobody by itself: what it needs then is visible to nobody."""

    def launch_as_root(config: Path) -> Command:
        command = launch(config)
        run = f"exec {shlex.join(command.arguments)}"
        steps = ["set -e", *_views(config.parent), f"cd {shlex.quote(str(config.parent))}", run]
        return attrs.evolve(command, arguments=("unshare", "--mount", "sh", "-c", "\n".join(steps)))

    return launch_as_root


def _give_away(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, _USER, "nogroup")


def _views(own: Path) -> Iterable[str]:
    """Commands that make the folders which the daemon needs visible below those that nobody may enter."""
    needed = {CHECKOUT, Path(sys.prefix), Path(sys.base_prefix), own}
    for wall in sorted({wall for path in needed if (wall := _wall(path))}):
        yield f"mount -t tmpfs -o mode=755 none {_SPARE}"
        for path in sorted(path for path in needed if path.is_relative_to(wall)):
            place = shlex.quote(f"{_SPARE}/{path.relative_to(wall)}")
            yield f"mkdir -p {place} && mount --bind {shlex.quote(str(path))} {place}"
        yield f"mount --rbind {_SPARE} {shlex.quote(str(wall))}"


def _wall(path: Path) -> Path | None:
    """The topmost folder on the way to a path that others than its owner may not pass."""
    return next((parent for parent in reversed(path.parents) if not parent.stat().st_mode & 0o001), None)
