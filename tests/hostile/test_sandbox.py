"""Rows 29, 30, 47 and 53: a job reaches for what is not its own, under each user that a build server runs as."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from farmkit.busybox_jobs import id_of, shell
from farmkit.processes import wait_until
from sccachedist.wire.messages import JobComplete
from tests.hostile.attacks import NO_INPUTS
from tests.hostile.conftest import asleep
from tests.hostile.neighbour import Neighbour

TRIED = ["tried everything"]
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
SECRETS = (
    "kcore keys kmsg kpagecgroup kpagecount kpageflags pagetypeinfo slabinfo timer_list vmallocinfo tty/driver/serial"
)
#: Seconds that no other program of this machine sleeps.
HOLDING = "2.7182"


def said_by(neighbour: Neighbour, archive: Path, script: str) -> list[str]:
    """What a job of an attacker prints, which has to come to its end."""
    job = neighbour.attacker.ready(archive, id_of(archive))
    result = neighbour.attacker.run_job(job, shell(script, "/made"), NO_INPUTS)
    assert isinstance(result, JobComplete), result
    return result.output.stdout.decode().splitlines()


def test_row_29_the_program_that_runs_every_job(neighbour: Neighbour, reaching: Path) -> None:
    """A job cannot open process 1's program, change it, or put another in its place for the jobs that come."""
    with neighbour.served(29):
        for _ in range(5):
            assert said_by(neighbour, reaching, "reaching exe; sleep 0.1; echo >/made") == TRIED
            assert said_by(neighbour, reaching, "echo honest; echo >/made") == ["honest"]
    neighbour.unharmed()


def test_row_30_whatever_is_not_its_own(neighbour: Neighbour, reaching: Path) -> None:
    """Devices, mounts, the kernel's files: a job changes none, be it by a descriptor, and the host's stay the same."""
    before = devices()
    with neighbour.served(30):
        for _ in range(3):
            assert said_by(neighbour, reaching, "reaching; echo >/made") == TRIED
    assert devices() == before
    neighbour.unharmed()


def devices() -> dict[str, tuple[int, ...]]:
    """The host's, with what stands in their inodes. A terminal has its times set by its use."""
    found = {name: Path("/dev", name).stat() for name in DEVICES}
    return {
        name: (each.st_mode, each.st_uid, each.st_gid, each.st_nlink, *([] if name == "tty" else [each.st_ctime_ns]))
        for name, each in found.items()
    }


def test_row_47_what_process_1_reports(neighbour: Neighbour, reaching: Path) -> None:
    """A job cannot write to the descriptors of its sandbox's first process."""
    with neighbour.served(47):
        for _ in range(3):
            assert said_by(neighbour, reaching, "reaching report; echo >/made") == TRIED
    assert "Traceback" not in neighbour.farm.server.log.read_text()
    neighbour.unharmed()


def test_row_53_what_the_kernel_tells_of_the_machine(neighbour: Neighbour, reaching: Path) -> None:
    """What is for root alone is not for a job of root's, and nobody reads another's keys."""
    script = f'for f in {SECRETS}; do [ -z "$(head -c 1 /proc/$f 2>/dev/null)" ] || echo $f; done; echo >/made'
    with neighbour.served(53):
        assert said_by(neighbour, reaching, script) == []
    neighbour.unharmed()


def test_row_53_a_lock_on_a_device(neighbour: Neighbour, reaching: Path) -> None:
    """Where a build server may make devices, each worker has its own, and a lock on one tells another's jobs nothing.

    Without root, the kernel makes none: there the host's are shared, and jobs that want to can tell each other things.
    """
    hold, look = f"echo >/made; reaching lock /bin/busybox sleep {HOLDING}", "echo >/made; reaching lock"
    with ThreadPoolExecutor() as threads:
        holder = threads.submit(said_by, neighbour, reaching, hold)
        wait_until(lambda: bool(asleep(HOLDING)), 10, "a job holds the lock")
        said = said_by(neighbour, reaching, look)
        holder.result()
    assert said == ["free" if neighbour.user == "root" else "taken"]


def test_who_runs_jobs_as_root_says_so(neighbour: Neighbour) -> None:
    """The log names the key that mends it, and why; a build server that is another user says nothing."""
    said = "sandbox.user is not set, and this daemon is root: compiles run with root's uid"
    assert (said in neighbour.farm.server.log.read_text()) == (neighbour.user == "root")
