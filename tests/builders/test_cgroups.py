"""Control groups made for workers, in directories that stand in for the kernel's."""

import os
from pathlib import Path

import attrs
import pytest

from sccachedist.builders.cgroup_hierarchies import Hierarchy
from sccachedist.builders.cgroups import Groups, Limited, own_groups
from sccachedist.builders.worker_protocol import JobLimits, limits_from
from sccachedist.config import ServerLimits
from sccachedist.sandbox.overlay.resource_limits import scratch_size

NAME = "sccachedist-x"


def groups(version: int, *own: Path, controllers: tuple[str, ...] = ("memory", "pids")) -> Groups:
    """Groups below some directories."""
    return Groups(NAME, tuple(Hierarchy(version, controllers, str(each)) for each in own))


@pytest.fixture
def delegated(tmp_path: Path) -> Path:
    """A group of version 2 as systemd hands it to a service with ``Delegate=yes``."""
    for directory in (tmp_path, tmp_path / NAME):
        directory.mkdir(exist_ok=True)
        (directory / "cgroup.controllers").write_text("cpu memory pids\n")
        (directory / "cgroup.subtree_control").write_text("\n")
        (directory / "cgroup.procs").touch()
    return tmp_path


def test_version_2_where_it_is_delegated(delegated: Path) -> None:
    """The daemon moves into a group of its own, for only then may groups below get the controllers."""
    memory, pids = groups(2, delegated).prepare()
    assert (memory.parent, pids.parent) == (str(delegated / NAME), str(delegated / NAME))
    assert (delegated / "daemon/cgroup.procs").read_text() == str(os.getpid())
    assert (delegated / "cgroup.subtree_control").read_text() == "+pids"  # the last that was asked for
    assert (delegated / NAME / "cgroup.subtree_control").read_text() == "+pids"


def test_version_2_where_it_is_not_delegated(delegated: Path) -> None:
    """The operator reads what would mend it."""
    (delegated / "cgroup.controllers").write_text("cpu\n")
    memory, _ = groups(2, delegated).prepare()
    assert memory == Limited("memory", "", f"no memory controller, delegate it (systemd: Delegate=yes): {delegated}")
    assert not (delegated / "daemon").exists()


def test_version_1(tmp_path: Path) -> None:
    """Each controller has its tree; what a dead worker has left in it goes, what a live one uses stays."""
    alive, dead = tmp_path / NAME / f"worker-{os.getpid()}", tmp_path / NAME / "worker-99999999"
    for group in (alive, dead):
        group.mkdir(parents=True)
    (tmp_path / NAME / "cgroup.procs").touch()
    memory, pids = groups(1, tmp_path, controllers=("memory",)).prepare()
    assert (memory.parent, pids.parent) == (str(tmp_path / NAME), "")
    assert (alive.exists(), dead.exists()) == (True, False)


@pytest.mark.parametrize(("weight", "shares", "idle"), [(50, "512", "0"), (1, "10", "1"), (10_000, "102400", "0")])
def test_the_weight_of_all_jobs(weight: int, shares: str, idle: str, tmp_path: Path) -> None:
    """It is the parent's beside other groups; the least yields to all, where the kernel knows of that."""
    for version, name in ((1, "cpu.shares"), (2, "cpu.weight")):
        own = tmp_path / str(version)
        (own / NAME).mkdir(parents=True)
        for directory in (own, own / NAME):
            for file in ("cgroup.controllers", "cgroup.subtree_control", "cgroup.procs"):
                (directory / file).write_text("cpu memory pids\n")
        (own / NAME / "cpu.idle").write_text("1")
        made = attrs.evolve(groups(version, own, controllers=("cpu",)), cpu_weight=weight)
        assert made.prepare()[-1] == Limited("cpu", str(own / NAME))
        assert (own / NAME / name).read_text() == (shares if version == 1 else str(weight))
        assert (own / NAME / "cpu.idle").read_text() == idle


def test_no_weight() -> None:
    """Then no group is made for that."""
    assert [each.controller for each in groups(1).prepare()] == ["memory", "pids"]
    assert "cpu" in own_groups(Path("/a"), 100).controllers


def test_the_owner_of_what_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user that the daemon will be can make groups there and move into them."""
    given: list[tuple[Path, int]] = []
    monkeypatch.setattr(os, "chown", lambda path, owner, _group: given.append((path, owner)))
    groups(1, tmp_path, controllers=("pids",)).prepare(owner=1234)
    assert given == [(tmp_path / NAME, 1234), (tmp_path / NAME / "cgroup.procs", 1234)]


def test_where_nothing_may_be_made(tmp_path: Path) -> None:
    """There is a reason for each."""
    memory, pids = groups(1, tmp_path / "missing").prepare()
    assert memory.reason == pids.reason == f"No such file or directory: {tmp_path}/missing/{NAME}"
    assert groups(2).prepare()[0].reason == "no control groups are mounted for it"


def test_nothing_is_left(tmp_path: Path) -> None:
    """Groups are gone when everybody is; until then it is said that they are not."""
    (tmp_path / NAME / f"worker-{os.getpid()}").mkdir(parents=True)
    assert groups(1, tmp_path).clear() is False
    (tmp_path / NAME / f"worker-{os.getpid()}").rmdir()
    assert groups(1, tmp_path).clear() is True
    assert list(tmp_path.iterdir()) == []


def test_the_name_is_that_of_the_directory() -> None:
    """The next start finds what the last has left; other build servers on the host have other names."""
    assert own_groups(Path("/a")).name == own_groups(Path("/a")).name != own_groups(Path("/b")).name


@pytest.mark.parametrize(
    ("memory", "size", "scratch"), [(4 << 30, 8 << 30, (4 << 30) - (64 << 20)), (4 << 30, 1000, 1000), (100, 100, 50)]
)
def test_files_in_memory_count(memory: int, size: int, scratch: int) -> None:
    """A file system that fills up says so before anybody is killed."""
    limits = limits_from(ServerLimits(job_memory_bytes=memory), JobLimits, scratch_bytes=size)
    assert scratch_size(limits) == scratch
