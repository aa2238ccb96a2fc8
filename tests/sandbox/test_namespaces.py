"""What a sandbox worker's namespaces hold, in a process of its own that enters them."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.builders.farms import IDENTITIES, NOBODY

pytestmark = pytest.mark.functional

# As who owns a file, and with all the privileges that a worker has in its namespaces: more than any job.
_TRY = """
import ctypes, os, sys
from pathlib import Path
from sccachedist.sandbox.overlay import namespaces
place, identity = sys.argv[1:]
os.chdir(place)
if identity == "nobody":
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
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


@pytest.mark.parametrize("identity", IDENTITIES)
def test_what_nobody_can_change(identity: str) -> None:
    """The program of all jobs and the devices lie on read-only mounts: not even the worker itself can change them."""
    with tempfile.TemporaryDirectory(prefix="namespaces-") as place:
        for directory in (Path(place), *(Path(place, name) for name in ("devices", "hidden"))):
            directory.mkdir(exist_ok=True)
            if identity == "nobody":
                os.chown(directory, NOBODY, NOBODY)
        words = [sys.executable, "-c", _TRY, place, identity]
        *told, devices = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    assert told == [str(errno.EROFS)] * 15
    assert devices == ("own" if identity == "itself" and os.geteuid() == 0 else "shared")
