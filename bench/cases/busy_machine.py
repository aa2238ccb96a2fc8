"""A build server on a host that others use: what its jobs cost them, and how jobs end for which memory is short.

The others are four processes that count. They and the build server are in one control group, of so much weight that
all else that runs on this machine takes next to nothing of its CPUs; the scheduler and the clients are beside it. But
the build server sees what else runs, and offers no CPU that is used: nothing may run beside this. For root alone.
"""

import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import attrs

from bench.jobs import Work, copying
from bench.quantities import Bar, Quantity
from bench.quotas import Quota, quota
from bench.run import NotMeasuredError, Run, step
from bench.sides import OURS
from farmkit.busybox_jobs import shell
from farmkit.farm import Farm
from farmkit.load_client import LoadClient, LoadError
from farmkit.processes import wait_until
from sccachedist.builders.cgroup_hierarchies import hierarchies
from sccachedist.wire.messages import AllocJobFail

#: The CPUs of the host, the processes of others there, and for how many seconds these count, if quick or not.
CPUS, OTHERS, SECS, QUICK_SECS = 2, 4, 20.0, 5.0
#: What else may run on this machine, in CPUs; for how many seconds that is looked at, how often at most; and seconds
#: until jobs run.
QUIET_CPUS, QUIET_SECS, LOOKS, START_SECS = 0.3, 3.0, 5, 60.0
#: How many clients want a slot at any time, how long their jobs count, and the pause of one that got none.
CLIENTS, ITERATIONS, PAUSE_SECS = 4, 200_000, 0.2
#: Jobs of a GiB, so many at a time; the room for them, and for the build server and its workers.
LARGE_JOBS, AT_A_TIME, ROOM_BYTES = 48, 16, (3 << 30) + (768 << 20)
_COUNTING = """\
import sys, time
done, end = 0, time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    for _ in range(10_000):
        done += 1
print(done)
"""


@attrs.frozen
class Shared:
    """What others got done beside the jobs of a farm, in times of what they do alone, and the jobs that ended."""

    speed: float
    jobs: int


class BusyMachine:
    """Others at work beside jobs, with and without ``idle_only``; jobs of a GiB where there is room for three."""

    name = "busy-machine"
    title = "a build server of two CPUs beside four busy processes, and jobs of 1 GiB with room for three"
    is_quick = False

    def measure(self, run: Run) -> list[Quantity]:
        """The speed of the others, and how the large jobs ended."""
        work, rounds = copying(run.folder, 1000), run.scaled(5, 1)
        secs = QUICK_SECS if run.quick else SECS
        idle = _beside("idle_only = true", work, rounds, secs)
        usual = _beside("", work, rounds, secs)
        large = [_large(work) for _ in range(run.scaled(2, 1))]
        return [
            Quantity(
                "speed of other work, idle_only", "times", (), tuple(each.speed for each in idle), Bar(0.95, True, True)
            ),
            Quantity("jobs that ended meanwhile, idle_only", "", (), tuple(each.jobs for each in idle)),
            Quantity("speed of other work, without", "times", (), tuple(each.speed for each in usual)),
            Quantity(
                "jobs of 1 GiB that were killed", "", (), tuple(each.killed for each in large), Bar(0, False, True)
            ),
            Quantity("of 48 such jobs, compiled on the farm", "", (), tuple(each.remote for each in large)),
        ]


def _beside(settings: str, work: Work, rounds: int, secs: float) -> list[Shared]:
    """Have others count by turns without and with jobs; jobs run already when the others begin."""
    _wait_until_quiet()
    with quota(CPUS) as host, _farm(host, f"[capacity]\ncpus = {CPUS}\n{settings}\n") as farm:
        client = LoadClient.of(farm)
        client.first_compile(work.archive, work.toolchain, work.request, work.inputs)
        return [
            _by_turns(farm, host, client, work, secs, f"{settings or 'usual'}, round {number} of {rounds}")
            for number in range(1, rounds + 1)
        ]


def _wait_until_quiet() -> None:
    """Wait until nothing else runs on this machine.

    :raises NotMeasuredError: something does.
    """
    looks = (_used_cpus() for _ in range(LOOKS))
    if all((used := each) > QUIET_CPUS for each in looks):
        raise NotMeasuredError(f"other programs use {used:.1f} CPUs of this machine, and it has to be idle")


def _used_cpus() -> float:
    """The CPUs of this machine that work during a few seconds."""
    before = _worked_secs()
    time.sleep(QUIET_SECS)
    return (_worked_secs() - before) / QUIET_SECS


def _worked_secs() -> float:
    user, nice, system, *_ = (int(ticks) for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _by_turns(farm: Farm, host: Quota, client: LoadClient, work: Work, secs: float, which: str) -> Shared:
    with step(f"{which}: others count for {secs:.0f} s alone"):
        alone = _count(host, secs)
    with _clients(client, work) as ended:
        with step("jobs begin"):
            _wait_until_jobs_run(farm, lambda: len(ended) >= CLIENTS)
        before = len(ended)
        with step(f"others count for {secs:.0f} s beside jobs"):
            beside = _count(host, secs)
        return Shared(beside / alone, len(ended) - before)


def _wait_until_jobs_run(farm: Farm, do_run: Callable[[], bool]) -> None:
    """Wait for jobs of a server that takes none while others use its CPUs.

    :raises NotMeasuredError: none runs.
    """
    try:
        wait_until(do_run, START_SECS, "jobs run")
    except TimeoutError as error:
        raise NotMeasuredError(f"{error}; the build server says:\n{farm.server.tail(3)}") from error


@contextmanager
def _farm(host: Quota, settings: str) -> Iterator[Farm]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        farm = Farm(Path(folder), OURS.scheduler, host.limited(OURS.server), server_settings=settings)
        with farm:
            yield farm


def _count(host: Quota, secs: float) -> int:
    """Let the others count; returns how far they came together."""
    enter = "".join(f"echo $$ > {group}/cgroup.procs && " for group in host.groups)
    command = ("sh", "-c", f'{enter} exec "$0" -c "$1" "$2"', sys.executable, _COUNTING, str(secs))
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(OTHERS)]
    return sum(int(each.communicate()[0]) for each in running)


@contextmanager
def _clients(client: LoadClient, work: Work) -> Iterator[list[float]]:
    """Clients that want a slot all the time; gives the list of times when their jobs ended."""
    request = shell(f"i={ITERATIONS}; while [ $i -gt 0 ]; do i=$((i-1)); done; echo 1 >/o", "/o")
    over, ended = threading.Event(), list[float]()

    def one(_: int) -> None:
        while not over.is_set():
            allocated = client.try_alloc(work.toolchain)
            if isinstance(allocated, AllocJobFail):
                over.wait(PAUSE_SECS)
                continue
            try:
                client.run(allocated, request, work.inputs)
            except LoadError:  # it went home
                continue
            ended.append(time.monotonic())

    with ThreadPoolExecutor(CLIENTS) as clients:
        running = [clients.submit(one, number) for number in range(CLIENTS)]
        try:
            yield ended
        finally:
            over.set()
            for each in running:
                each.result()


@attrs.frozen
class Large:
    """How jobs of a GiB ended: on the farm, or at home; and how many the kernel killed for lack of memory."""

    remote: int
    home: int
    killed: int


def _large(work: Work) -> Large:
    """Run them, sixteen at a time, on a server with room for three."""
    request = shell("dd if=/dev/zero of=/dev/null bs=1073741824 count=1 2>/dev/null && echo 1 >/o", "/o")
    with _room(ROOM_BYTES) as group, _farm(group, f"[capacity]\ncpus = {AT_A_TIME}\n") as farm:
        client, before = LoadClient.of(farm), _kills()
        client.first_compile(work.archive, work.toolchain, work.request, work.inputs)

        def is_remote(_: int) -> bool:
            allocated = client.try_alloc(work.toolchain)
            if isinstance(allocated, AllocJobFail):
                return False
            try:
                client.run(allocated, request, work.inputs)
            except LoadError:
                return False
            return True

        with step(f"{LARGE_JOBS} jobs of 1 GiB, {AT_A_TIME} at a time"), ThreadPoolExecutor(AT_A_TIME) as clients:
            ended = list(clients.map(is_remote, range(LARGE_JOBS)))
        return Large(sum(ended), len(ended) - sum(ended), _kills() - before)


def _kills() -> int:
    """How often the kernel has killed a process of this machine for lack of memory."""
    lines = (line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return next(int(number) for name, number in lines if name == "oom_kill")


@contextmanager
def _room(size: int) -> Iterator[Quota]:
    """A control group with so many bytes of memory. It goes when its processes have ended."""
    mounts, memberships = (Path("/proc/self", each).read_text() for each in ("mountinfo", "cgroup"))
    own = hierarchies(mounts, memberships, ("memory",))[0].own
    group = Path(own, f"bench-{secrets.token_hex(4)}")
    group.mkdir()
    try:
        v1 = group / "memory.limit_in_bytes"
        (v1 if v1.exists() else group / "memory.max").write_text(str(size))
        yield Quota((group,))
    finally:
        group.rmdir()
