"""What a trial job sees in a sandbox, and what is said of a sandbox that does not keep what it promises."""

import os
from pathlib import Path

import attrs
import pytest

from sccachedist.builders.selftest.requirements import DOCKER, OVERLAY, Requirement, Seen, looked_at, unmet_requirements
from sccachedist.sandbox.programs.probe import READ

STATUS = b"""\
Name:\tprobe
Pid:\t2
Uid:\t0\t0\t0\t0
CapInh:\t0000000000000000
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t0000000000000000
CapAmb:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
"""
NETWORK = b"Inter-|   Receive\n face |bytes\n    lo:       0       0\n"
LIMITS = b"""\
Limit                     Soft Limit           Hard Limit           Units
Max core file size        0                    0                    bytes
Max open files            4096                 4096                 files
"""
MOUNTS = b"""\
211 176 0:64 / / rw,nosuid - overlay overlay rw
213 211 0:61 / /dev ro,nosuid,noexec - tmpfs tmpfs rw
214 213 0:59 /full /dev/full ro,nosuid,noexec - tmpfs tmpfs rw
220 213 0:63 /shm /dev/shm rw,nosuid,nodev - tmpfs tmpfs rw
221 212 0:70 / /proc ro,nosuid,nodev,noexec - proc proc rw
"""
SECRETS = (None, b"", *[None] * 7)
CONTENTS = (STATUS, NETWORK, LIMITS, b"\x01\x02", b"", MOUNTS, b"", b"", *SECRETS, None)
PROMISES = {"overlay": OVERLAY, "docker": DOCKER}

# By what is said of it: which file, what is to be replaced in it, and by what.
BROKEN = {
    "more of a network": (1, NETWORK, NETWORK + b"  eth0:       0       0\n"),
    "loopback, or none": (1, b"    lo:       0       0\n", b""),
    "not uid 0": (0, b"Uid:\t0\t0", b"Uid:\t1000\t0"),
    "has capabilities": (0, b"CapBnd:\t0", b"CapBnd:\tf"),
    "gain privileges": (0, b"NoNewPrivs:\t1", b"NoNewPrivs:\t0"),
    "limits of a job": (2, b"file size        0  ", b"file size        unlimited  "),
}
OF_THE_OVERLAY = {
    "no seccomp filter": (0, b"Seccomp:\t2", b"Seccomp:\t0"),
    "limits of a job": (2, b"files            4096  ", b"files            unlimited  "),
    "change what is not its own, /dev/full: ": (5, b"/dev/full ro", b"/dev/full rw"),
    "change what is not its own, /dev/null, /proc: ": (7, b"", b"/proc\n/dev/null\n"),
    "reach the program that runs it": (6, b"", b"r"),
    "what the kernel tells root alone, /proc/keys: ": (9, b"", b"1a"),
}


def said(requirements: tuple[Requirement, ...], *contents: bytes | None) -> str:
    return unmet_requirements(Seen.by(contents), requirements)


@pytest.mark.parametrize("requirements", PROMISES.values(), ids=PROMISES)
def test_all_is_kept(requirements: tuple[Requirement, ...]) -> None:
    """Nothing is said."""
    assert said(requirements, *CONTENTS) == ""


@pytest.mark.parametrize("kind", PROMISES)
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_promise(kind: str, what: str) -> None:
    """It is named in a line, with what would mend it."""
    check_named(PROMISES[kind], what, *BROKEN[what])


@pytest.mark.parametrize("what", OF_THE_OVERLAY)
def test_a_broken_promise_of_the_overlay(what: str) -> None:
    """So are those that only its sandboxes make."""
    check_named(OVERLAY, what, *OF_THE_OVERLAY[what])


def check_named(requirements: tuple[Requirement, ...], what: str, file: int, old: bytes, new: bytes) -> None:
    content = CONTENTS[file] or b""
    assert old in content
    contents = [*CONTENTS[:file], content.replace(old, new) if old else new, *CONTENTS[file + 1 :]]
    line = said(requirements, *contents)
    assert what in line
    assert ": " in line
    assert "\n" not in line


@pytest.mark.parametrize("file", range(8))
def test_what_cannot_be_read(file: int) -> None:
    """A sandbox that hides what is looked at has not shown that it keeps anything."""
    assert said(OVERLAY, *CONTENTS[:file], None, *CONTENTS[file + 1 :]) != ""


def test_the_hosts_processes() -> None:
    """They are seen where the daemon's own is; another process may have its number in the sandbox."""
    *others, daemon = looked_at()
    own = Path(daemon.removeprefix(READ)).read_bytes()
    assert daemon == f"{READ}/proc/{os.getpid()}/cmdline"
    assert "host's processes" in said(OVERLAY, *CONTENTS[: len(others)], own[:4088])
    assert said(OVERLAY, *CONTENTS[: len(others)], b"another") == ""


def test_several_at_once() -> None:
    """One line has them all."""
    seen = attrs.evolve(Seen.by(CONTENTS), files=dict.fromkeys(looked_at()))
    assert unmet_requirements(seen, OVERLAY).count("; ") >= len(OVERLAY) - 2
