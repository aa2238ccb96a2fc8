"""Where a package of the newer release is built and judged: a root of its own, without a network, made up as Ubuntu's.

So the package is as Ubuntu's would be but for the Python in it. All changes are in memory, and end with the command.
"""

import shlex
from pathlib import Path

from farmkit.launch import CHECKOUT
from farmkit.processes import Command, inherited
from tests.packages.base import BUILDER, Base

#: Where the checkout is, and a folder that is given.
SOURCE, GIVEN = "/srv/checkout", "/srv/given"
_SECS = 600
_SCRIPT = """
mount --make-rprivate /
mount -t tmpfs tmpfs {given}/.builder
cd {given}/.builder
mkdir changes work root
mount -t overlay overlay -o lowerdir={root},upperdir=$PWD/changes,workdir=$PWD/work root
cd root
mkdir wheels .{source} .{given_there}
mount --bind -o ro {wheels} wheels
mount --bind -o ro {checkout} .{source}
mount --bind {given} .{given_there}
mount -t proc proc proc
mount --rbind /dev dev
printf 'Vendor: Ubuntu\nParent: Debian\n' >etc/dpkg/origins/ubuntu
ln -sf ubuntu etc/dpkg/origins/default
printf 'ID=ubuntu\nVERSION_ID="24.04"\n' >usr/lib/os-release
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels \
    chroot . /bin/sh -ec {command}
"""


def in_builder(base: Base, given: Path, command: str) -> str:
    """What a command of the shell prints there, which has to succeed.

    :param given: a folder that it has as ``GIVEN``, and may write to.
    """
    (given / ".builder").mkdir(exist_ok=True)
    script = _SCRIPT.format(
        given=given,
        root=base.root(BUILDER),
        source=SOURCE,
        given_there=GIVEN,
        wheels=base.wheels,
        checkout=CHECKOUT,
        command=shlex.quote(command),
    )
    namespaces = ("--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts")
    done = Command(("unshare", *namespaces, "/bin/sh", "-ec", script), inherited(), given).run(_SECS)
    assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout
