"""Which links in a pot's files ``pot`` would follow: it starts a pot as root of the host, and writes there by name.

The start of pot 0.16 mounts ``dev`` and ``proc``, and writes ``etc/hosts``, ``etc/resolv.conf``, ``etc/rc.conf``, a
script in ``etc/rc.d`` and files in ``tmp``. A link there leads out of the pot: its target is a name on the host. Links
of the operator's own template are not our affair. Who made the others is not known here.
"""

import os
from pathlib import Path

#: Directories that must not be links, nor have links as entries. Each comes after the one that it lies in.
WRITTEN_AT_START = ("dev", "etc", "etc/rc.d", "proc", "tmp")


def links_at_start(files: Path) -> dict[str, str]:
    """Return the links that a start would follow, by their names below the pot's root, with their targets.

    :param files: the pot's root directory. No process runs in there.
    """
    found: dict[str, str] = {}
    for directory in WRITTEN_AT_START:
        place = files / directory
        if place.is_symlink():
            found[directory] = os.readlink(place)
        elif place.is_dir() and str(Path(directory).parent) not in found:
            links = (entry for entry in os.scandir(place) if entry.is_symlink())
            found |= {f"{directory}/{entry.name}": os.readlink(entry.path) for entry in links}
    return found
