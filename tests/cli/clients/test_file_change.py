"""A file that several people edit: each change is whole, or does not happen, and none is lost."""

import errno
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sccachedist.cli.clients import file_change
from sccachedist.cli.clients.file_change import changing
from sccachedist.errors import ConfigError
from tests.support.broken_disks import NUMBERS, failing

#: Changes a file, and ends before it has another name.
DYING = """
import os, sys
from pathlib import Path
from sccachedist.cli.clients.file_change import changing
with changing(Path(sys.argv[1]), Path(sys.argv[1])) as change:
    change.write(b"half", lambda: os._exit(7))
"""


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    path = tmp_path / "scheduler.conf"
    path.touch(0o640)
    path.chmod(0o640)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "clients.toml"
    path.write_bytes(b"before")
    return path


def change(file: Path, beside: Path, octets: bytes, last_step: Callable[[], None] = lambda: None) -> bytes | None:
    with changing(file, beside) as change:
        change.write(octets, last_step)
        return change.octets


def refused(file: Path, beside: Path, last_step: Callable[[], None] = lambda: None) -> str:
    with pytest.raises(ConfigError) as error:
        change(file, beside, b"after", last_step)
    return str(error.value)


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(("mode", "given"), [(0o640, 0o640), (0o600, 0o600), (0o777, 0o644), (0o400, 0o600)])
def test_a_file_that_is_made(tmp_path: Path, beside: Path, mode: int, given: int) -> None:
    """Who may read the other one may read it, and its owner alone may change it."""
    beside.chmod(mode)
    file = tmp_path / "clients.toml"
    assert change(file, beside, b"after") is None
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"after", given)
    if os.geteuid() == 0:
        file.unlink()
        os.chown(beside, 12345, 54321)
        change(file, beside, b"")
        assert (file.stat().st_uid, file.stat().st_gid) == (12345, 54321)


def test_a_file_that_is_there(tmp_path: Path, file: Path, beside: Path) -> None:
    """Its owner and mode stay, and a link to it stays one."""
    file.chmod(0o664)
    link = tmp_path / "link.toml"
    link.symlink_to(file.name)
    if os.geteuid() == 0:
        os.chown(file, 12345, 54321)
    owner = file.stat().st_uid, file.stat().st_gid, file.stat().st_mode
    assert change(link, beside, b"after") == b"before"
    assert (link.is_symlink(), file.read_bytes()) == (True, b"after")
    assert (file.stat().st_uid, file.stat().st_gid, file.stat().st_mode) == owner
    assert entries(tmp_path) == {"clients.toml", "link.toml", "scheduler.conf"}


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("place", ["os.open", "os.fchown", "os.fchmod", "os.fsync", "pathlib.Path.replace"])
def test_a_disk_that_refuses(
    tmp_path: Path, file: Path, beside: Path, place: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has changed, and nothing is left over."""
    with changing(file, beside) as change, monkeypatch.context() as patch:
        patch.setattr(place, failing(number))
        with pytest.raises(
            ConfigError, match=f"^{file}: cannot be written, nothing is changed: {os.strerror(number)}$"
        ):
            change.write(b"after", lambda: None)
    assert file.read_bytes() == b"before"
    assert entries(tmp_path) == {"clients.toml", "scheduler.conf"}


def test_a_disk_that_takes_half(file: Path, beside: Path, tmp_path: Path) -> None:
    """The half that it took is gone."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with changing(file, beside) as change:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3, limits[1]))
        try:
            with pytest.raises(ConfigError, match="cannot be written"):
                change.write(b"after", lambda: None)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (file.read_bytes(), entries(tmp_path)) == (b"before", {"clients.toml", "scheduler.conf"})


def test_what_cannot_be_had(tmp_path: Path, file: Path, beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is not there, a file that is none, a lock that the system does not give."""
    assert refused(tmp_path / "lacks/clients.toml", beside).endswith(
        "its directory cannot be read: No such file or directory"
    )
    assert refused(tmp_path, beside) == f"{tmp_path}: cannot be read, nothing is changed: Is a directory"
    monkeypatch.setattr("fcntl.flock", failing(NUMBERS[1]))
    assert refused(file, beside) == f"{file}: its directory cannot be locked: {os.strerror(NUMBERS[1])}"


def test_a_directory_that_cannot_be_locked(file: Path, beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on NFS: the file changes all the same."""
    monkeypatch.setattr("fcntl.flock", failing(errno.EBADF))
    change(file, beside, b"after")
    assert file.read_bytes() == b"after"


def test_a_last_step_that_fails(tmp_path: Path, file: Path, beside: Path) -> None:
    """Nothing has changed if a token cannot be shown."""
    with pytest.raises(BrokenPipeError):
        change(file, beside, b"after", failing(errno.EPIPE))
    assert (file.read_bytes(), entries(tmp_path)) == (b"before", {"clients.toml", "scheduler.conf"})


def test_a_command_that_dies(tmp_path: Path, file: Path, beside: Path) -> None:
    """The file is whole, and what is left over disturbs no later change."""
    assert subprocess.run([sys.executable, "-c", DYING, file]).returncode == 7
    assert (file.read_bytes(), len(entries(tmp_path))) == (b"before", 3)
    change(file, beside, b"after")
    assert (file.read_bytes(), entries(tmp_path)) == (b"after", {"clients.toml", "scheduler.conf"})


def test_an_editor_meanwhile(file: Path, beside: Path) -> None:
    """What another program has written is not overwritten, and no token is shown."""
    shown: list[bool] = []
    with changing(file, beside) as change:
        file.write_bytes(b"by hand")
        with pytest.raises(ConfigError, match="another program has just changed it: nothing is changed, try again"):
            change.write(b"after", lambda: shown.append(True))
    assert (file.read_bytes(), shown) == (b"by hand", [])


def test_many_at_once(file: Path, beside: Path) -> None:
    """Each waits for the others: no change is lost."""
    file.write_bytes(b"")

    def add(number: int) -> None:
        with changing(file, beside) as change:
            change.write((change.octets or b"") + b"%d " % number)

    with ThreadPoolExecutor(8) as administrators:
        list(administrators.map(add, range(40)))
    assert sorted(map(int, file.read_bytes().split())) == list(range(40))


@pytest.fixture
def stalled(file: Path, beside: Path) -> Iterator[None]:
    """A command that has the file for long."""
    has_it, may_end = threading.Event(), threading.Event()

    def stall() -> None:
        with changing(file, beside):
            has_it.set()
            may_end.wait()

    thread = threading.Thread(target=stall)
    thread.start()
    has_it.wait()
    yield
    may_end.set()
    thread.join()


@pytest.mark.usefixtures("stalled")
def test_a_command_that_stalls(file: Path, beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end."""
    monkeypatch.setattr(file_change, "LOCK_SECS", 0.1)
    assert refused(file, beside) == f"{file}: another command is changing it: nothing is changed, try again"
