"""What is promised of sandboxes, and whether what a trial job saw in one keeps it.

A trial job copies what the kernel shows it; how it is run is not known here.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import attrs

_STATUS, _NETWORK, _LIMITS = "/proc/self/status", "/proc/net/dev", "/proc/self/limits"
_RANDOM, _NULL = "/dev/urandom", "/dev/null"
_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def looked_at() -> tuple[str, ...]:
    """The files that a trial job of this process copies. The last one is there where a sandbox shows the host's."""
    return (_STATUS, _NETWORK, _LIMITS, _RANDOM, _NULL, f"/proc/{os.getpid()}/cmdline")


@attrs.frozen
class Seen:
    """What a trial job has copied.

    :param files: contents by name; None for one that could not be read.
    :param sees_daemon: whether the process that wanted it was visible.
    """

    files: Mapping[str, bytes | None]
    sees_daemon: bool

    @classmethod
    def by(cls, contents: Sequence[bytes | None]) -> "Seen":
        """What has been copied of :func:`looked_at`, in that order."""
        *_, daemon = names = looked_at()
        files = dict(zip(names, contents, strict=True))
        shown = files[daemon]
        return cls(files, bool(shown and Path(daemon).read_bytes().startswith(shown)))

    def status(self, name: str) -> str:
        """What the kernel says of the job's process."""
        return self._after(_STATUS, f"{name}:")

    def limit(self, name: str) -> str:
        """The soft limit of the job's process, in the kernel's words."""
        return self._after(_LIMITS, name).partition(" ")[0]

    @property
    def interfaces(self) -> set[str]:
        """The network interfaces."""
        return {line.partition(":")[0].strip() for line in self._lines(_NETWORK) if ":" in line}

    @property
    def has_devices(self) -> bool:
        """Whether the devices are there that every program may need."""
        return self.files[_NULL] == b"" and bool(self.files[_RANDOM])

    def _after(self, file: str, start: str) -> str:
        return next((line.removeprefix(start).strip() for line in self._lines(file) if line.startswith(start)), "")

    def _lines(self, file: str) -> list[str]:
        return (self.files[file] or b"").decode(errors="replace").splitlines()


@attrs.frozen
class Promise:
    """Something that holds in a sandbox.

    :param broken: what is so where it does not.
    :param mend: what the operator can do about it.
    """

    holds: Callable[[Seen], bool]
    broken: str
    mend: str


def broken_promises(seen: Seen, promises: Iterable[Promise]) -> str:
    """What does not hold and what would mend it, in one line; empty where all does."""
    return "; ".join(f"{each.broken}: {each.mend}" for each in promises if not each.holds(seen))


_BWRAP = "install bubblewrap 0.3 or newer, and no wrapper, at builder.bwrap_path"

_NETWORK_OFF = Promise(
    lambda seen: seen.interfaces == {"lo"},
    "a compile has more of a network than loopback, or none",
    "allow network namespaces: user.max_net_namespaces above 0",
)
_ROOT = Promise(
    lambda seen: seen.status("Uid").split() == ["0"] * 4,
    "a compile is not uid 0 of its sandbox",
    "allow user namespaces: user.max_user_namespaces above 0",
)
_NO_CAPABILITY = Promise(
    lambda seen: all(seen.status(name) == "0" * 16 for name in _SETS), "a compile has capabilities", _BWRAP
)
_NO_NEW_PRIVILEGES = Promise(
    lambda seen: seen.status("NoNewPrivs") == "1", "a compile may gain privileges by set-uid programs", _BWRAP
)
_FILTERED = Promise(
    lambda seen: seen.status("Seccomp") == "2",
    "no seccomp filter is in force on a compile",
    "use a kernel with CONFIG_SECCOMP_FILTER; " + _BWRAP,
)
_ALONE = Promise(
    lambda seen: bool(seen.status("Pid")) and not seen.sees_daemon,
    "a compile sees the host's processes",
    "allow process namespaces: user.max_pid_namespaces above 0",
)
_DEVICES = Promise(
    lambda seen: seen.has_devices,
    "/dev/null or /dev/urandom is not there, or not for a compile",
    "mount /dev on this host",
)
_NO_CORES = Promise(
    lambda seen: seen.limit("Max core file size") == "0", "the limits of a job are not in force", "see ulimit -c"
)
_FEW_FILES = Promise(
    lambda seen: seen.limit("Max open files").isdigit() and int(seen.limit("Max open files")) <= 4096,
    "the limits of a job are not in force",
    "see ulimit -n",
)

_EVERYWHERE = (_NETWORK_OFF, _ROOT, _NO_CAPABILITY, _NO_NEW_PRIVILEGES, _ALONE, _DEVICES, _NO_CORES)
#: What the overlay builder's sandboxes promise.
OVERLAY = (*_EVERYWHERE, _FILTERED, _FEW_FILES)
#: What the docker builder's containers promise; whether they are filtered is for the engine's configuration to say.
DOCKER = tuple(
    attrs.evolve(each, mend="see what docker's daemon.json or a wrapper of docker adds to docker run")
    for each in _EVERYWHERE
)
