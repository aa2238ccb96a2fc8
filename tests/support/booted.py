"""A system that systemd has booted, in namespaces, with a network of its own and all changes in memory. For root.

It has the files of a folder; or those of this machine, with the package in ``/opt/sccachedist`` as this checkout has
it, beside what this environment has installed, and in ``/opt/checkout`` what a checkout has in ``contrib``.
"""

import contextlib
import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import attrs

from farmkit.launch import CHECKOUT
from farmkit.processes import Command, Daemon, inherited, wait_until

_BOOT_SECS = 120
_CGROUPS = Path("/sys/fs/cgroup")
#: Services that have nothing to do here.
_MASKED = (
    *("systemd-udevd", "systemd-udev-trigger", "systemd-timesyncd", "systemd-networkd", "systemd-resolved"),
    *("systemd-sysctl", "systemd-modules-load", "systemd-binfmt"),
)
_INSTALLED = """
mkdir -p ../venv ../venv-work opt/sccachedist opt/checkout
cp -r {checkout}/contrib opt/checkout
mount -t overlay overlay -o lowerdir={prefix},upperdir=$PWD/../venv,workdir=$PWD/../venv-work opt/sccachedist
cp -r {checkout}/sccachedist ./{site}
cp {checkout}/twisted/plugins/sccachedist_plugins.py ./{site}/twisted/plugins
cd opt/sccachedist/bin
printf '#!/opt/sccachedist/bin/python\\nfrom sccachedist.cli.main import main\\nmain()\\n' >sccachedist
cd ../../..
"""
_SCRIPT = """
ip link set lo up
mount --make-rprivate /
mount -t tmpfs tmpfs {folder}
cd {folder}
mkdir system work root
mount -t overlay overlay -o lowerdir={files},upperdir=$PWD/system,workdir=$PWD/work root
cd root
{furnish}
mount -t proc proc proc
mount -t sysfs sysfs sys
for each in run tmp dev sys/fs/cgroup; do mount -t tmpfs -o mode=755 tmpfs $each; done
chmod 1777 tmp
mkdir dev/shm dev/pts dev/mqueue
for each in null zero full random urandom tty; do touch dev/$each; mount --bind /dev/$each dev/$each; done
mount -t devpts devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
touch dev/console
mount -t cgroup2 cgroup2 sys/fs/cgroup
printf '[Unit]\\nRequires=basic.target\\nAfter=basic.target\\n' >etc/systemd/system/booted.target
for each in {masked}; do ln -sf /dev/null etc/systemd/system/$each.service; done
rm -f etc/fstab
pivot_root . mnt
umount -l /mnt
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=booted.target --show-status=no
"""


@attrs.define
class Booted:
    """The system; ``root`` is its root, as this process sees it."""

    process: int
    root: Path

    def run(
        self, command: str, *, environment: dict[str, str] | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the shell there; any exit status is returned."""
        inside = (
            "nsenter",
            f"--target={self.process}",
            "--mount",
            "--pid",
            "--net",
            "--uts",
            "--ipc",
            "--root",
            "--wd",
        )
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **(environment or {})}
        return Command((*inside, "/bin/sh", "-ec", command), inherited(**variables), Path("/")).run(seconds)

    def said(self, command: str, *, seconds: float = 120) -> str:
        """What a command prints that has to succeed."""
        done = self.run(command, seconds=seconds)
        assert done.returncode == 0, (command, done)
        return done.stdout.strip()


@contextlib.contextmanager
def booted(folder: Path, files: Path | None = None, furnish: str = "") -> Iterator[Booted]:
    """Boot it; all of it ends with the block.

    :param files: the root that it begins with, which stays as it is; without one, this machine's.
    :param furnish: what the shell runs in it before, with this machine's programs.
    """
    assert os.geteuid() == 0, "only root can boot a system"
    folder.mkdir()
    group = _cgroup(f"{folder.name}-{os.getpid()}")
    script = _SCRIPT.format(
        folder=folder,
        files=files or "/",
        furnish=furnish if files else _installed(),
        masked=" ".join(_MASKED),
    )
    namespaces = "--mount --pid --fork --kill-child --uts --ipc --net --cgroup"
    enter = f"echo $$ >{group}/cgroup.procs; exec unshare {namespaces} /bin/sh -ec {shlex.quote(script)}"
    system = Daemon.start(Command(("/bin/sh", "-ec", enter), inherited(), folder.parent), folder.parent / "boot.log")
    try:
        init = _child_of(system)
        inside = Booted(init, Path(f"/proc/{init}/root"))
        is_up = "systemctl is-system-running | grep -qE 'running|degraded'"
        system.wait_until(lambda: inside.run(is_up).returncode == 0, _BOOT_SECS, "it has booted")
        yield inside
    finally:
        system.kill()
        wait_until(lambda: _is_removed(group), 60, "its control groups are removed")


def _installed() -> str:
    """What has the package in ``/opt``."""
    return _INSTALLED.format(
        prefix=Path(sys.prefix).resolve(),
        checkout=CHECKOUT,
        site=Path("opt/sccachedist", Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)),
    )


def _cgroup(name: str) -> Path:
    """A control group for the system, of version 2, which is all that newer releases of systemd take.

    Where this machine has most of version 1, there is one without controllers beside it.
    """
    [hierarchy] = [each for each in (_CGROUPS, _CGROUPS / "unified") if (each / "cgroup.controllers").exists()]
    group = hierarchy / name
    group.mkdir(exist_ok=True)
    return group


def _is_removed(group: Path) -> bool:
    """Remove a control group with those in it, as far as their processes have ended; returns whether all are gone."""
    for each in sorted(group.rglob("*/"), reverse=True):
        with contextlib.suppress(OSError):
            each.rmdir()
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


def _child_of(system: Daemon) -> int:
    """The process that becomes systemd."""
    children = Path(f"/proc/{system.process.pid}/task/{system.process.pid}/children")
    system.wait_until(lambda: children.read_text().strip() != "", _BOOT_SECS, "its first process is there")
    return int(children.read_text())
