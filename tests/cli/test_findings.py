"""What the doctor makes of facts."""

import errno
import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from sccachedist.builders.cpus import Quota
from sccachedist.cli.doctor import findings
from sccachedist.cli.doctor.findings import GIB, Level, exit_status, failed, good, warning

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_line_for_each_finding() -> None:
    """How bad, what, and what mends it."""
    assert str(good("disk", "all is well")) == "ok       disk: all is well"
    assert str(failed("disk", "full", "make room")) == "FAILED   disk: full; make room"


def test_the_exit_status() -> None:
    """A warning fails nothing."""
    assert exit_status([good("a", ""), warning("b", "")]) == 0
    assert exit_status([failed("a", ""), good("b", "")]) == 1


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("bubblewrap 0.8.0\n", Level.OK),
        ("bubblewrap 0.3.0\n", Level.OK),
        ("bubblewrap 1.0\n", Level.OK),
        ("bubblewrap 0.2.1\n", Level.FAILED),
        ("busybox", Level.FAILED),
        (None, Level.FAILED),
    ],
)
def test_bubblewrap(said: str | None, level: Level) -> None:
    """There, and not too old."""
    assert findings.bwrap_version(said).level is level


@pytest.mark.parametrize(
    ("hours", "level"),
    [(0, Level.OK), (-0.01, Level.OK), (0.5, Level.WARNING), (-24, Level.FAILED), (24, Level.FAILED)],
)
def test_clocks(hours: float, level: Level) -> None:
    """Fast or slow, a little is no matter and a day breaks certificates."""
    assert findings.clocks(NOW + timedelta(hours=hours), NOW).level is level


@pytest.mark.parametrize(
    ("free", "level"), [(20 * GIB, Level.OK), (5 * GIB, Level.WARNING), (GIB // 100, Level.FAILED)]
)
def test_room(free: int, level: Level) -> None:
    """Less than wanted is a warning, next to nothing a failure."""
    assert findings.space("disk", free, 10 * GIB).level is level


@pytest.mark.parametrize(("mode", "level"), [(0o100600, Level.OK), (0o100640, Level.WARNING), (0o644, Level.WARNING)])
def test_permissions(mode: int, level: Level) -> None:
    """Secrets are their owner's."""
    assert findings.permissions(mode).level is level


@pytest.mark.parametrize(
    ("status", "level"), [(200, Level.OK), (500, Level.OK), (401, Level.FAILED), (None, Level.FAILED)]
)
def test_tokens(status: int | None, level: Level) -> None:
    """A scheduler that only does not know the job has let the token pass."""
    assert findings.token(status).level is level


@pytest.mark.parametrize(
    ("shown", "own", "level"),
    [(b"a", b"a", Level.OK), (None, b"a", Level.WARNING), (b"b", b"a", Level.FAILED), (b"b", None, Level.FAILED)],
)
def test_who_answers(shown: bytes | None, own: bytes | None, level: Level) -> None:
    """Its certificate tells."""
    assert findings.public_address(shown, own).level is level


def test_limits() -> None:
    """Which are in force, and by what."""
    found = findings.limit_of("memory", "/sys/fs/cgroup/x", "", root=True)
    assert found.text == "by control groups, below /sys/fs/cgroup/x"
    for root in (False, True):
        mend = findings.limit_of("pids", "", "Permission denied", root=root).mend
        assert ("start as root" in mend) is not root
        assert "Delegate=yes" in mend
        mend = findings.limit_of("pids", "", "Read-only file system: /sys/fs/cgroup/x", root=root).mend
        assert "--security-opt writable-cgroups=true" in mend
        assert "Delegate=yes" not in mend


@pytest.mark.parametrize(
    ("number", "mend"), [(errno.EROFS, "docker run --volume"), (errno.EACCES, "chown 10600"), (errno.EIO, "correct it")]
)
def test_a_directory_that_cannot_be_written(number: int, mend: str) -> None:
    """What mends it depends on who refuses: the file system, or the directory's mode."""
    found = findings.unwritable("cache_dir", "/var/cache", number, 10600)
    assert (found.level, found.text) == (Level.FAILED, f"/var/cache cannot be written: {os.strerror(number)}")
    assert mend in found.mend


def test_as_whom_compiles_run() -> None:
    """Root is warned of, with the key that mends it."""
    assert findings.jobs_user(0).level is Level.WARNING
    assert "sandbox.user" in str(findings.jobs_user(0))
    assert findings.jobs_user(1000).level is Level.OK


@pytest.mark.parametrize(
    ("why", "seccomp", "hinted"),
    [
        ("pivot_root: Operation not permitted", 2, True),
        ("clone3: Function not implemented", 2, True),
        ("bwrap: No permissions to create new namespace, likely because", 2, True),
        ("pivot_root: Operation not permitted", 0, False),
        ("No space left on device", 2, False),
    ],
)
def test_a_filter_that_may_be_to_blame(why: str, seccomp: int, hinted: bool) -> None:
    """It is named where what was refused is what filters refuse."""
    found = findings.broken_sandbox(why, seccomp)
    assert (found.level, found.text) == (Level.FAILED, why)
    assert ("Seccomp: 2" in found.mend) is hinted


@pytest.mark.parametrize(
    ("status", "body", "level"),
    [
        (200, b'{"num_servers": 3}', Level.OK),
        (200, b'{"num_servers": "3"}', Level.FAILED),
        (200, b"[" * 100_000, Level.FAILED),
        (200, b"\xff", Level.FAILED),
        (200, b"", Level.FAILED),
        (302, b'{"num_servers": 3}', Level.FAILED),
    ],
)
def test_who_is_no_scheduler(status: int, body: bytes, level: Level) -> None:
    """What answers there may be anything."""
    assert findings.farm("scheduler", status, body).level is level


@pytest.mark.parametrize(
    ("configured", "quota", "level", "offers"),
    [
        (None, None, Level.OK, "offers 4: the process may use 4 CPUs, and no quota"),
        (None, Quota(2.5, "/g"), Level.OK, "offers 3: the process may use 4 CPUs, and a quota of 2.5 by /g"),
        (2, Quota(2.5, "/g"), Level.OK, "offers 2: "),
        (4, Quota(2.5, "/g"), Level.WARNING, "offers 4, but "),
        (5, None, Level.WARNING, "offers 5, but "),
    ],
)
def test_cpus(configured: int | None, quota: Quota | None, level: Level, offers: str) -> None:
    """More than the process may use is a warning."""
    found = findings.cpus(configured, 4, quota)
    assert found.level is level
    assert found.text.startswith(offers)


def test_services_that_know_clients() -> None:
    """Keys are counted, a token service may say what it likes to who shows no token."""
    assert str(findings.keys("keys", 200, b'{"keys": [1, 2]}')) == "ok       keys: it has 2 keys"
    assert findings.keys("keys", 200, b"[]").level is Level.FAILED
    assert "status 404" in findings.keys("keys", 404, b'{"keys": []}').text
    assert findings.answers("url", 401, b"").level is Level.OK


@pytest.mark.parametrize(
    ("left", "status", "level"),
    [
        ("192.0.2.1", 200, Level.OK),
        ("192.0.2.1", 401, Level.OK),
        ("192.0.2.1", None, Level.OK),
        ("192.0.2.9", 500, Level.OK),
        ("192.0.2.9", 401, Level.FAILED),
        ("192.0.2.9", None, Level.WARNING),
        ("2001:db8::1", 401, Level.FAILED),
    ],
)
def test_which_address_calls_leave_from(left: str, status: int | None, level: Level) -> None:
    """Another than public_addr's is what is wrong if the scheduler refuses; a proxy may have made it good."""
    found = findings.sender(ip_address(left), ip_address("192.0.2.1"), status)
    assert found.level is level
    assert "192.0.2.1" in found.text


@pytest.mark.parametrize(
    ("left", "level"),
    [(timedelta(days=90), Level.OK), (timedelta(days=13), Level.WARNING), (timedelta(0), Level.FAILED)],
)
def test_certificates(left: timedelta, level: Level) -> None:
    """In time before it ends."""
    assert findings.certificate(NOW + left, NOW).level is level
    assert f"{NOW + left:%Y-%m-%d}" in findings.certificate(NOW + left, NOW).text
