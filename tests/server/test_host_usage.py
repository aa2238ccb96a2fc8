"""What is read of the use of a host."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from sccachedist.server.host_usage import HostUsage, worked
from sccachedist.server.spare import CpuUse

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
#: Children of this daemon: a sandbox worker with a job, and one without.
TREE = {"self": ["7"], "7": ["8", "9"], "8": [], "9": []}

Write = Callable[[str, str], None]


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Write:
    def write(file: str, text: str) -> None:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


def whole_host(write: Write, *seconds: float) -> None:
    """So many seconds each CPU has worked: in user mode, and as long in vain."""
    lines = [f"cpu{number} {round(work * TICKS)} 0 0 999 88 0 0 77 0 0" for number, work in enumerate(seconds)]
    write("stat", "\n".join(["cpu  1 2 3 4 5 6 7 8 9 10", *lines, "intr 17"]))


def own(write: Write, tree: Mapping[str, Sequence[str]] = TREE, **seconds: float) -> None:
    """So many seconds each process of the daemon has worked; a name may have anything in it."""
    for pid, children in tree.items():
        write(f"{pid}/task/5/children", " ".join(children) + " ")
        ticks = round(seconds.get(f"pid_{pid}", 0.0) * TICKS)
        write(f"{pid}/stat", f"{pid} (cc1) R 5 :) S 1 2 3 4 5 6 7 8 9 10 {ticks} 0 0 0 20 0 1 0")
        write(f"{pid}/statm", "500 300 100 1 0 9 0")


def usage(proc: Path) -> HostUsage:
    return HostUsage(frozenset({0, 1}), proc)


def test_what_others_use(tmp_path: Path, write: Write) -> None:
    """It is what CPUs have worked that this daemon may use, but for the work of the daemon and of its jobs."""
    looking = usage(tmp_path)
    whole_host(write, 100, 200, 300)
    own(write, pid_self=10)
    assert looking.cpu_use(1.0) is None, "that is since the start of the host"
    whole_host(write, 101, 202, 350)
    own(write, pid_self=10.5, pid_8=1)
    use = looking.cpu_use(2.0)
    assert use is not None
    assert use.foreign == pytest.approx(0.75, abs=0.02)


def test_a_process_that_ends_while_it_looks(tmp_path: Path, write: Write) -> None:
    """What it has used is missing for one look, and counts at the next."""
    looking = usage(tmp_path)
    whole_host(write, 0, 0)
    own(write, pid_8=5)
    looking.cpu_use(1.0)
    whole_host(write, 1, 0)
    own(write)
    assert looking.cpu_use(1.0) == CpuUse(1.0)
    whole_host(write, 2, 0)
    own(write, pid_7=6.5)
    assert looking.cpu_use(1.0) == CpuUse(0.0)


def test_a_process_that_has_ended(tmp_path: Path, write: Write) -> None:
    """The one that waited for it has its work now, or one above, and it counts once."""
    looking = usage(tmp_path)
    whole_host(write, 0, 0)
    own(write, {"self": ["7"], "7": ["8"], "8": ["9"], "9": []}, pid_8=3, pid_9=2)
    looking.cpu_use(1.0)
    whole_host(write, 1.5, 0)
    own(write, {"self": ["7"], "7": ["8"], "8": []}, pid_8=5.5)
    assert looking.cpu_use(1.0) == CpuUse(1.0)
    whole_host(write, 3.0, 0)
    own(write, {"self": []}, pid_self=6)
    assert looking.cpu_use(1.0) == CpuUse(1.0)


def test_a_process_that_nobody_waited_for(tmp_path: Path, write: Write) -> None:
    """A job that is killed with its PID namespace takes its work with it; what the next one does is no other work."""
    looking = usage(tmp_path)
    whole_host(write, 0, 0)
    own(write, pid_self=3, pid_7=2, pid_8=60, pid_9=1)
    looking.cpu_use(1.0)
    for second in range(1, 4):
        whole_host(write, second, 0)
        own(write, {"self": ["7"], "7": ["9"], "9": []}, pid_self=3, pid_7=2, pid_9=1 + second)
        assert looking.cpu_use(1.0) == CpuUse(0.0)


def test_a_job_of_nested_processes(tmp_path: Path, write: Write) -> None:
    """However many of them are each the child of the one before, all are looked at."""
    last = sys.getrecursionlimit() + 100
    tree = {"self": ["1"], **{str(pid): [str(pid + 1)] for pid in range(1, last)}, str(last): []}
    looking = usage(tmp_path)
    whole_host(write, 0, 0)
    own(write, tree)
    looking.cpu_use(1.0)
    assert looking.held_bytes() == last * 200 * PAGE
    whole_host(write, 1, 0)
    own(write, tree, **{f"pid_{last}": 1.0})
    assert looking.cpu_use(1.0) == CpuUse(0.0)


def test_tasks_that_wait(tmp_path: Path, write: Write) -> None:
    """For half of the time: then CPUs are contended. A kernel that does not tell has none of that."""
    looking, without = usage(tmp_path), usage(tmp_path)
    whole_host(write, 0, 0)
    own(write)
    without.cpu_use(1.0)
    write("pressure/cpu", "some avg10=9.00 total=1000000\nfull avg10=0.00 total=9000000\n")
    looking.cpu_use(1.0)
    write("pressure/cpu", "some avg10=9.00 total=1500000\nfull avg10=0.00 total=9000000\n")
    assert looking.cpu_use(1.0) == CpuUse(0.0, is_contended=True)
    write("pressure/cpu", "some avg10=9.00 total=1900000\nfull avg10=0.00 total=9000000\n")
    assert looking.cpu_use(1.0) == CpuUse(0.0)
    assert looking.cpu_use(0.0) is None


@pytest.mark.parametrize(("idle", "is_contended"), [(0.4, True), (0.6, False)])
def test_tasks_that_wait_beside_idle_cpus(idle: float, is_contended: bool, tmp_path: Path, write: Write) -> None:
    """They are kept to some CPUs, or to a quota, such as a container: no CPU that jobs leave would help them."""
    looking = usage(tmp_path)
    own(write)
    for second in (0, 1):
        ticks = [round(part * second * TICKS) for part in (2 - idle, idle / 2, idle / 2)]
        write("stat", "cpu0 {} 0 0 {} {} 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\n".format(*ticks))
        write("pressure/cpu", f"some avg10=99.00 total={second * 1000000}\n")
        use = looking.cpu_use(1.0)
    assert use is not None
    assert use.is_contended is is_contended
    assert use.foreign == pytest.approx(2 - idle, abs=0.02)


def test_pressure_on_memory(tmp_path: Path, write: Write) -> None:
    """All tasks stand still for a tenth of the time."""
    looking = usage(tmp_path)
    assert not looking.is_pressed(1.0), "a kernel that does not tell"
    write("pressure/memory", "some avg10=0.00 total=7\nfull avg10=0.00 total=100000\n")
    assert looking.is_pressed(1.0)
    assert not looking.is_pressed(1.0)


def test_memory_of_jobs(tmp_path: Path, write: Write) -> None:
    """All that descends from the daemon, without what it shares with files; what ends meanwhile has none."""
    own(write)
    looking = usage(tmp_path)
    assert looking.held_bytes() == 3 * 200 * PAGE
    (tmp_path / "9/statm").unlink()
    (tmp_path / "8/task/5/children").unlink()
    assert looking.held_bytes() == 2 * 200 * PAGE


def test_a_kernel_that_knows_no_children(tmp_path: Path, write: Write) -> None:
    """Then nothing can be said of other work."""
    assert not usage(tmp_path).knows_own
    own(write)
    assert usage(tmp_path).knows_own


def test_this_host() -> None:
    """The kernel's own files: a child's work is not that of others, and its memory is found."""
    burn = (
        "import os, time; kept = bytearray(64 << 20)\nwhile time.process_time() < 0.5: pass\nos.write(1, b'.'); input()"
    )
    looking = HostUsage(frozenset(os.sched_getaffinity(0)))
    assert looking.knows_own
    looking.cpu_use(1.0)
    before = looking._own()
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.read(1) == b"."
        assert worked(before, looking._own()) >= 0.4 * TICKS
        assert looking.held_bytes() >= 64 << 20
        child.communicate(b"\n")
    assert worked(before, looking._own()) >= 0.4 * TICKS, "also when it has ended"
    assert looking.cpu_use(1.0) is not None
