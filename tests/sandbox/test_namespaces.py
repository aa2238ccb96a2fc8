"""What a sandbox worker's namespaces hold, in a process of its own that enters them."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.farms import IDENTITIES, NOBODY

pytestmark = pytest.mark.functional

_AS_ASKED = """
import ctypes, os, signal, sys
from pathlib import Path
from sccachedist.sandbox.overlay import namespaces
place, identity = sys.argv[1:]
os.chdir(place)
if identity == "nobody":
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
"""
# As who owns a file, and with all the privileges that a worker has in its namespaces: more than any job.
_TRY = """
namespaces.make_devices("devices")
namespaces.enter()
namespaces.bind_devices("devices")
file = namespaces.hidden_file("hidden", b"#!/bin/true")

def error(what, *arguments):
    try:
        what(*arguments)
    except OSError as caught:
        return caught.errno
    return 0

print(error(os.fchmod, file, 0o777))
print(error(os.open, f"/proc/self/fd/{file}", os.O_RDWR))
print(error(os.utime, file))
for device in ("null", "zero", "full", "random", "urandom", "tty"):
    print(error(os.chmod, f"devices/{device}", 0o666))
    print(error(os.utime, f"devices/{device}"))
with open("devices/null", "wb") as null:
    null.write(b"x")
own = os.stat("devices/zero").st_dev != os.stat("/dev/zero").st_dev
print("own" if own else "shared")
"""
_LOOK = """
namespaces.enter()
status, mounts = (Path("/proc/self", name).read_text() for name in ("status", "mountinfo"))
print(*[line for line in status.splitlines() if line.startswith("NoNewPrivs:")])
print(*{tag.split(":")[0] for line in mounts.splitlines() for tag in line.split(" - ")[0].split()[6:]})
"""
_BUSY = """
namespaces.enter()
namespaces.mount_scratch(".", 4096)
place = os.getcwd()
looks = 0

def go_on(_):
    global looks
    looks += 1
    if looks == 3:
        os.close(writer)

writer = os.open(f"{place}/file", os.O_CREAT | os.O_WRONLY)
namespaces.time.sleep = go_on
namespaces.make_read_only(place)
print(looks, os.access(place, os.W_OK))
namespaces._mount(None, place, None, namespaces._MS_REMOUNT | namespaces._MS_BIND, None)
writer = os.open(f"{place}/file", os.O_WRONLY)
try:
    namespaces.make_read_only(place)
except OSError as error:
    print(error.strerror, os.access(place, os.W_OK))
"""
_STAY = """
namespaces.enter()
print("in", flush=True)
while True:
    signal.pause()
"""
_START_ONE = """
import signal, subprocess, sys
subprocess.Popen([sys.executable, "-c", *sys.argv[1:]])
while True:
    signal.pause()
"""


@pytest.fixture
def place() -> Iterator[str]:
    """A directory that each user can enter."""
    with tempfile.TemporaryDirectory(prefix="namespaces-") as made:
        os.chmod(made, 0o755)
        yield made


@pytest.mark.parametrize("identity", IDENTITIES)
def test_what_a_worker_is(place: str, identity: str) -> None:
    """No program that it starts has more rights than itself, and no mount comes or goes where the host's are shared."""
    sharing = ["unshare", "--mount", "--propagation", "shared"] if os.geteuid() == 0 else []
    words = [*sharing, sys.executable, "-c", _AS_ASKED + _LOOK, place, identity]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    assert told == ["NoNewPrivs:\t1", ""]


@pytest.mark.parametrize("identity", IDENTITIES)
def test_it_ends_with_its_daemon(place: str, identity: str) -> None:
    """However that ended, and whatever it does then: the kernel sees to it."""
    words = [sys.executable, "-c", _START_ONE, _AS_ASKED + _STAY, place, identity]
    daemon = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
    assert daemon.stdout is not None
    try:
        assert daemon.stdout.readline() == b"in\n"
        daemon.kill()
        assert daemon.communicate(timeout=20)[0] == b""  # no process holds the pipe
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(daemon.pid, signal.SIGKILL)


@pytest.mark.parametrize("identity", IDENTITIES)
def test_what_nobody_can_change(place: str, identity: str) -> None:
    """The program of all jobs and the devices lie on read-only mounts: not even the worker itself can change them."""
    for directory in (Path(place), *(Path(place, name) for name in ("devices", "hidden"))):
        directory.mkdir(exist_ok=True)
        if identity == "nobody":
            os.chown(directory, NOBODY, NOBODY)
    words = [sys.executable, "-c", _AS_ASKED + _TRY, place, identity]
    *told, devices = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    assert told == [str(errno.EROFS)] * 15
    assert devices == ("own" if identity == "itself" and os.geteuid() == 0 else "shared")


def test_a_mount_that_is_in_use_for_a_moment(place: str) -> None:
    """It is made read-only when its writer is gone: who follows a link there is one until the access is noted."""
    words = [sys.executable, "-c", _AS_ASKED + _BUSY, place, "itself"]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    assert told == ["3 False", "Device or resource busy True"]
