"""What the kernel knows of the overlay builder's jobs, and what they see of the kernel, as root and as nobody."""

import os
from pathlib import Path

import pytest

from sccachedist.builders.cgroups import own_groups
from sccachedist.errors import LimitExceeded
from tests.builders.farms import LIMITS, Farm, in_reactor

pytestmark = pytest.mark.functional


@in_reactor
async def test_what_covers_its_files(farm: Farm) -> None:
    """Each mount in ``/proc`` is read-only, and a device in it is closed (THREATS 53)."""
    result = await farm.compile("/bin/busybox grep ' /proc' /proc/self/mountinfo")
    flags = [set(line.split()[5].split(",")) for line in result.output.stdout.decode().splitlines()]
    assert len(flags) > 1
    assert all(each >= {"ro", "nosuid", "nodev", "noexec"} for each in flags)


@in_reactor
async def test_what_the_kernel_tells_its_user_alone(farm: Farm) -> None:
    """A directory of root's own looks empty to root's job, and another user's may not look."""
    seen = await farm.compile("/bin/busybox ls /proc/tty/driver 2>/dev/null; exit 0")
    assert seen.output.stdout == b""
    if os.geteuid() == 0:
        assert os.listdir("/proc/tty/driver")


@in_reactor
async def test_what_it_can_write_to(farm: Farm) -> None:
    """There, no program has another's rights and no node is a device; and files of no size are bounded by number."""
    busybox = "/bin/busybox"
    result = await farm.compile(f"{busybox} cat /proc/self/mountinfo; {busybox} stat -f -c %c / /dev/shm")
    *lines, own, shared = result.output.stdout.decode().splitlines()
    mounts = {line.split()[4]: set(line.split()[5].split(",")) for line in lines}
    writable = {place: flags for place, flags in mounts.items() if "ro" not in flags}
    assert writable.keys() == {"/", "/dev/shm"}
    assert all(flags >= {"nosuid", "nodev"} for flags in writable.values())
    assert int(own) == int(shared) == 1_000_000


@in_reactor
async def test_a_batch_job(farm: Farm) -> None:
    """The kernel's scheduler knows a compile for what it is."""
    result = await farm.compile("/bin/busybox cut -d ' ' -f 41 /proc/self/stat")
    assert int(result.output.stdout) == os.SCHED_BATCH


@in_reactor
async def test_memory_by_either_limit(farm: Farm, request: pytest.FixtureRequest) -> None:
    """A control group bounds memory together with swap; without one, the kernel bounds each process by itself."""
    seen = await farm.compile("/bin/busybox grep 'Max data size' /proc/self/limits")
    by_process = seen.output.stdout.split()[3:5]
    groups = [group for parent in own_groups(farm.home).parents for group in Path(parent).glob("worker-*")]
    if request.node.callspec.params["farm"] == "nobody" or not groups:
        assert by_process == [str(LIMITS.job_memory_bytes).encode()] * 2
        return
    together = [group / "memory.memsw.limit_in_bytes" for group in groups]
    swaps = [each for group in groups for each in group.glob("memory.swap.max")]
    assert [each.read_text() for each in together if each.exists()] == [
        each.with_name("memory.limit_in_bytes").read_text() for each in together if each.exists()
    ]
    assert all(each.read_text() == "0\n" for each in swaps)


@in_reactor
async def test_files_and_processes_share_the_memory(farm: Farm) -> None:
    """What lies in the job's file system counts beside the memory of its processes, with a control group or without."""
    script = "dd if=/dev/zero of=/work/x bs=1M count=60 2>&1; dd if=/dev/zero of=/dev/null bs=150M count=100 2>&1"
    with pytest.raises(LimitExceeded) as caught:
        await farm.compile(script)
    assert caught.value.limit == "job_memory_bytes"


@in_reactor
async def test_jobs_go_before_daemons(farm: Farm) -> None:
    """Where the host is out of memory, the kernel ends a compile, which its client repeats, before any daemon."""
    assert (await farm.compile("/bin/busybox cat /proc/self/oom_score_adj")).output.stdout == b"500\n"
