"""What must hold in a sandbox, and whether it does, from the files of ``/proc`` that a trial job saw there.

It does not know how the trial job is run: :mod:`sccachedist.builders.selftest.job` does.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from sccachedist.sandbox.programs.probe import CHANGE, OPEN, READ

_STATUS, _NETWORK, _LIMITS = f"{READ}/proc/self/status", f"{READ}/proc/net/dev", f"{READ}/proc/self/limits"
_RANDOM, _NULL = f"{READ}/dev/urandom", f"{READ}/dev/null"
_MOUNTS, _FIRST = f"{READ}/proc/self/mountinfo", f"{OPEN}/proc/1/exe"
#: The places that a job may write to.
_ITS_OWN = frozenset({"/", "/dev/shm", "/tmp"})  # noqa: S108
_SECRETS = tuple(
    f"{READ}/proc/{name}"
    for name in (
        *("kcore", "keys", "kpagecgroup", "kpagecount", "kpageflags", "pagetypeinfo"),
        *("slabinfo", "timer_list", "vmallocinfo"),
    )
)
_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def looked_at() -> tuple[str, ...]:
    """Return the trial job's arguments. The last file exists only in a sandbox that shows the host's processes."""
    own = f"{READ}/proc/{os.getpid()}/cmdline"
    return (_STATUS, _NETWORK, _LIMITS, _RANDOM, _NULL, _MOUNTS, _FIRST, CHANGE, *_SECRETS, own)


@attrs.frozen
class Seen:
    """What a trial job has found.

    :param files: contents by argument; None for a file that it could not read.
    :param sees_daemon: whether this process, outside the sandbox, was visible inside.
    """

    files: Mapping[str, bytes | None]
    sees_daemon: bool

    @classmethod
    def by(cls, contents: Sequence[bytes | None]) -> "Seen":
        """Make one from the contents of :func:`looked_at`, in that order."""
        *_, daemon = names = looked_at()
        files = dict(zip(names, contents, strict=True))
        shown = files[daemon]
        return cls(files, bool(shown and Path(daemon.removeprefix(READ)).read_bytes().startswith(shown)))

    def status(self, name: str) -> str:
        """A line of the job's ``/proc/self/status``."""
        return self._after(_STATUS, f"{name}:")

    def limit(self, name: str) -> str:
        """The soft limit of the job's process, in the kernel's words."""
        return self._after(_LIMITS, name).partition(" ")[0]

    @property
    def interfaces(self) -> set[str]:
        """The names of the network interfaces in the sandbox."""
        return {line.partition(":")[0].strip() for line in self._lines(_NETWORK) if ":" in line}

    @property
    def has_devices(self) -> bool:
        """Whether ``/dev/null`` and ``/dev/urandom`` work."""
        return self.files[_NULL] == b"" and bool(self.files[_RANDOM])

    @property
    def writable(self) -> list[str]:
        """The mounts that a job can write to or has changed, and that are not its own."""
        mounts = [line.split(" ")[4:6] for line in self._lines(_MOUNTS)]
        found = {place for place, options in mounts if "ro" not in options.split(",")}
        return sorted(found.union(self._lines(CHANGE)) - _ITS_OWN)

    @property
    def secrets(self) -> list[str]:
        """The files of ``/proc`` for root alone that the job could read."""
        return [name.removeprefix(READ) for name in _SECRETS if self.files[name]]

    @property
    def kept_apart(self) -> bool:
        """Whether the job read the mounts, tried to change them, and could not open its first process's program."""
        return bool(self.files[_MOUNTS]) and self.files[CHANGE] is not None and self.files[_FIRST] == b""

    def _after(self, file: str, start: str) -> str:
        return next((line.removeprefix(start).strip() for line in self._lines(file) if line.startswith(start)), "")

    def _lines(self, file: str) -> list[str]:
        return (self.files[file] or b"").decode(errors="replace").splitlines()


@attrs.frozen
class Requirement:
    """Something that must hold in a sandbox.

    :param broken: the complaint if it does not hold.
    :param mend: what the operator can do then.
    :param which: the names of what breaks it.
    """

    holds: Callable[[Seen], bool]
    broken: str
    mend: str
    which: Callable[[Seen], Sequence[str]] = lambda _: ()

    def complaint(self, seen: Seen) -> str:
        """Say what is broken, and what would mend it."""
        return f"{' '.join([self.broken, ', '.join(self.which(seen))]).strip()}: {self.mend}"


def unmet_requirements(seen: Seen, requirements: Iterable[Requirement]) -> str:
    """Say in one line what is broken and what would mend it; empty if all requirements hold."""
    return "; ".join(each.complaint(seen) for each in requirements if not each.holds(seen))


_BWRAP = "install bubblewrap 0.3 or newer, and no wrapper, at builder.bwrap_path"

_NETWORK_OFF = Requirement(
    lambda seen: seen.interfaces == {"lo"},
    "a compile has more of a network than loopback, or none",
    "allow network namespaces: user.max_net_namespaces above 0",
)
_ROOT = Requirement(
    lambda seen: seen.status("Uid").split() == ["0"] * 4,
    "a compile is not uid 0 of its sandbox",
    "allow user namespaces: user.max_user_namespaces above 0",
)
_NO_CAPABILITY = Requirement(
    lambda seen: all(seen.status(name) == "0" * 16 for name in _SETS), "a compile has capabilities", _BWRAP
)
_NO_NEW_PRIVILEGES = Requirement(
    lambda seen: seen.status("NoNewPrivs") == "1", "a compile may gain privileges by set-uid programs", _BWRAP
)
_FILTERED = Requirement(
    lambda seen: seen.status("Seccomp") == "2",
    "no seccomp filter is in force on a compile",
    "use a kernel with CONFIG_SECCOMP_FILTER; " + _BWRAP,
)
_ALONE = Requirement(
    lambda seen: bool(seen.status("Pid")) and not seen.sees_daemon,
    "a compile sees the host's processes",
    "allow process namespaces: user.max_pid_namespaces above 0",
)
_DEVICES = Requirement(
    lambda seen: seen.has_devices,
    "/dev/null or /dev/urandom is not there, or not for a compile",
    "mount /dev on this host",
)
_NO_CORES = Requirement(
    lambda seen: seen.limit("Max core file size") == "0", "the limits of a job are not in force", "see ulimit -c"
)
_FEW_FILES = Requirement(
    lambda seen: seen.limit("Max open files").isdigit() and int(seen.limit("Max open files")) <= 4096,
    "the limits of a job are not in force",
    "see ulimit -n",
)
_OTHERS_UNCHANGED = Requirement(
    lambda seen: not seen.writable,
    "a compile can change what is not its own,",
    "use Linux 5.11 or newer, " + _BWRAP,
    lambda seen: seen.writable,
)
_FIRST_APART = Requirement(
    lambda seen: seen.kept_apart,
    "a compile can reach the program that runs it and others, /proc/1/exe",
    "have /proc show mounts, " + _BWRAP,
)
_NO_SECRETS = Requirement(
    lambda seen: not seen.secrets,
    "a compile can read what the kernel tells root alone,",
    "set sandbox.user, " + _BWRAP,
    lambda seen: seen.secrets,
)

_EVERYWHERE = (_NETWORK_OFF, _ROOT, _NO_CAPABILITY, _NO_NEW_PRIVILEGES, _ALONE, _DEVICES, _NO_CORES)
#: The requirements of the overlay builder's sandboxes.
OVERLAY = (*_EVERYWHERE, _FILTERED, _FEW_FILES, _OTHERS_UNCHANGED, _FIRST_APART, _NO_SECRETS)
#: The requirements of the docker builder's containers. No seccomp filter: Docker's configuration decides about that.
DOCKER = tuple(
    attrs.evolve(each, mend="see what docker's daemon.json or a wrapper of docker adds to docker run")
    for each in _EVERYWHERE
)
