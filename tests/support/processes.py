"""What the kernel says of processes: which there are, what they have mounted, how much memory they took."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def running(marker: str) -> list[int]:
    """The processes, zombies aside, that have this text in their command line."""
    return [int(folder.name) for folder in _processes() if marker in _read(folder / "cmdline")]


def mounts_below(folder: Path) -> list[str]:
    """Everything that is mounted in a folder, in the mount namespace of any process."""
    seen = {line for process in _processes() for line in _read(process / "mountinfo").splitlines()}
    return [line for line in seen if str(folder) in line]


def mounts_of_jobs(folder: Path) -> list[str]:
    """The same, but for what each sandbox worker has ready for its next job: devices, and one place to run it."""
    return [line for process in _processes() for line in _beside_what_is_ready(folder, process)]


def _beside_what_is_ready(folder: Path, process: Path) -> list[str]:
    lines = [line for line in _read(process / "mountinfo").splitlines() if str(folder) in line]
    points = [line.split()[4] for line in lines]
    places = sum(point.endswith("/sccachedist/scratch") for point in points)
    ready = ("/sccachedist/dev", "/sccachedist/scratch") if places == 1 else ("/sccachedist/dev",)
    return [line for line, point in zip(lines, points, strict=True) if not any(name in point for name in ready)]


def stat_fields(pid: int) -> list[str]:
    """What stands in a process's ``stat`` behind its name: its state, its parent, its group, its session, and so on.

    :raises OSError: it has ended.
    """
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def opened(pid: int) -> list[str]:
    """What each descriptor of a process is."""
    names = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            names.append(os.readlink(path))
    return names


def peak_memory(pid: int) -> int:
    """The most bytes that a process has had resident."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


def _processes() -> Iterator[Path]:
    return Path("/proc").glob("[0-9]*")


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):  # it has ended meanwhile
        return path.read_text(errors="replace").replace("\0", " ")
    return ""
