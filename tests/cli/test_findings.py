"""What the doctor makes of facts."""

from datetime import UTC, datetime, timedelta

import pytest

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
    assert findings.limit_of("memory", "/sys/fs/cgroup/x", "").text == "by control groups, below /sys/fs/cgroup/x"
    assert "Delegate=yes" in findings.limit_of("pids", "", "Permission denied").mend


def test_as_whom_compiles_run() -> None:
    """Root is warned of, with the key that mends it."""
    assert findings.jobs_user(0).level is Level.WARNING
    assert "sandbox.user" in str(findings.jobs_user(0))
    assert findings.jobs_user(1000).level is Level.OK
