"""FreeBSD's ``pot`` and ``jexec``, as far as a builder uses them, for hosts that have neither: run as root on Linux.

    python fake_pot.py pot|jexec FS_ROOT ARGUMENT...

A pot is a directory, its snapshot is a copy, and what runs in it is chrooted there. As strict as pot 0.16: what that
refuses is refused, errors go to stdout. Every command is kept in ``FS_ROOT/log``; one whose name stands in
``FS_ROOT/broken`` fails. Nothing of this package is used here.
"""

import json
import os
import shutil
import signal
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn


def refuse(reason: str) -> NoReturn:
    print("###> ", reason)
    sys.exit(1)


class Pot:
    """One pot: it is one when it has a configuration, which is written last."""

    def __init__(self, fs_root: Path, name: str) -> None:
        self.fs_root, self.name = fs_root, name
        self.folder = fs_root / "jails" / name
        self.files, self.snap, self.conf = self.folder / "m", self.folder / "snap", self.folder / "conf"

    def __getitem__(self, key: str) -> str:
        return str(json.loads(self.conf.read_text())[key])

    def write(self, base: str, running: str) -> None:
        self.conf.write_text(json.dumps({"base": base, "running": running}))

    def check(self, *, running: bool | None = None) -> None:
        if not self.conf.exists():
            refuse(f"{self.name} is not a pot!")
        if running is not None and (self["running"] == "yes") != running:
            refuse(f"The pot {self.name} is {'not' if running else 'still'} running.")

    def kill(self) -> None:
        """Kill what is chrooted in it, also what comes meanwhile."""
        while pids := [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self.holds(pid)]:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def holds(self, pid: int) -> bool:
        try:
            dead = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
            return not dead and os.readlink(f"/proc/{pid}/root") == str(self.files)
        except OSError:
            return False


def pot(fs_root: Path, verb: str, *arguments: str) -> None:
    with (fs_root / "log").open("a") as log:
        print(verb, *arguments, file=log)
    if verb in (fs_root / "broken").read_text().split():
        refuse(f"{verb} is broken")
    match verb, *arguments:
        case ("version",):
            print("pot version: 0.16.0")
        case "ls", "-q":
            print(*(folder.name for folder in (fs_root / "jails").iterdir() if (folder / "conf").exists()), sep="\n")
        case "clone", "-p", name, "-P", source, "-i", _:
            clone(Pot(fs_root, name), Pot(fs_root, source))
        case "destroy", "-F", "-p", name:
            destroy(Pot(fs_root, name))
        case (("snapshot" | "revert" | "start" | "stop"), "-p", name):
            {"snapshot": snapshot, "revert": revert, "start": start, "stop": stop}[verb](Pot(fs_root, name))
        case _:
            refuse(f"unknown: {verb} {arguments}")


def clone(new: Pot, source: Pot) -> None:
    source.check()
    if not source.snap.exists():
        refuse(f"{source.name} has no snap - please take a snapshot of {source.name}")
    if new.conf.exists():
        refuse(f"pot {new.name} already exists")
    new.folder.mkdir(exist_ok=True)
    shutil.copytree(source.snap, new.files, symlinks=True)
    new.write(source.name, "no")


def snapshot(each: Pot) -> None:
    each.check(running=False)
    shutil.rmtree(each.snap, ignore_errors=True)
    shutil.copytree(each.files, each.snap, symlinks=True)


def revert(each: Pot) -> None:
    each.check(running=False)
    shutil.rmtree(each.files)
    shutil.copytree(each.snap, each.files, symlinks=True)


def start(each: Pot) -> None:
    each.check(running=False)
    for name in ("etc/hosts", "tmp/environment.sh"):  # by name, as the real one: it follows links
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            (each.files / name).write_text("of the pot\n")
    (each.files / "dev").mkdir(exist_ok=True)
    for device, minor in (("null", 3), ("zero", 5)):
        os.mknod(each.files / "dev" / device, stat.S_IFCHR | 0o666, os.makedev(1, minor))
    each.write(each["base"], "yes")


def stop(each: Pot) -> None:
    each.check()
    each.kill()
    shutil.rmtree(each.files / "dev", ignore_errors=True)
    each.write(each["base"], "no")


def destroy(each: Pot) -> None:
    if not each.folder.exists():
        refuse(f"pot {each.name} not found or corrupted. Try to use the -F flag")
    for folder in (each.fs_root / "jails").iterdir():
        other = Pot(each.fs_root, folder.name)
        if other.conf.exists() and other["base"] == each.name:
            refuse(f"{each.name} is used at least by another pot ({other.name})")
    each.kill()
    shutil.rmtree(each.folder)


def jexec(fs_root: Path, name: str, *command: str) -> NoReturn:
    jail = Pot(fs_root, name)
    if not jail.conf.exists() or jail["running"] != "yes":
        sys.exit(f'jexec: jail "{name}" not found')
    os.chroot(jail.files)
    os.chdir("/")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which Python has changed
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"jexec: execvp: {command[0]}: {error.strerror}")


if __name__ == "__main__":
    {"pot": pot, "jexec": jexec}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
