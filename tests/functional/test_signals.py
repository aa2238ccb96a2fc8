"""Signals that end other programs, sent to real daemons from their first step to their last."""

import contextlib
import signal
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import PUBLISHED_SCHEDULER
from farmkit.processes import Daemon, wait_until
from sccachedist import __version__
from tests.functional.test_tls import write_certificate

pytestmark = pytest.mark.functional

SIGNALS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_FIRST_SIGNALS = sum(1 << number - 1 for number in SIGNALS)


def handles_signals(daemon: Daemon) -> bool:
    """Whether a process has got so far that signals find a handler."""
    with contextlib.suppress(FileNotFoundError):
        for line in Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return int(line.split()[1], 16) & _FIRST_SIGNALS == _FIRST_SIGNALS
    return False


def hail(daemon: Daemon) -> bool:
    """Send many of each signal."""
    with contextlib.suppress(ProcessLookupError):
        for number in SIGNALS * 20:
            daemon.process.send_signal(number)
    return True


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_scheduler(tmp_path: Path, tls: bool) -> None:
    """With ``[tls]`` or without: it starts, works and ends under a hail of signals, and says what it makes of them."""
    farm = Farm(tmp_path)
    if tls:
        write_certificate(tmp_path)
        farm.scheduler_settings = f"""
[tls]
certificate = "{tmp_path / "scheduler.pem"}"
private_key = "{tmp_path / "scheduler.key"}"
"""
    farm.launch_only_scheduler()
    under_a_hail_of_signals(farm.scheduler)
    log = farm.scheduler.log.read_text()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        assert f"{number.name}: nothing is done at this signal now" in log
    assert "the configuration was read again: nothing has changed" in log
    assert ("the certificate was read again" in log) is tls


def test_a_build_server(tmp_path: Path) -> None:
    """The same for a build server, which drains at one of them and undrains at another."""
    with contextlib.ExitStack() as ending:
        farm = Farm(tmp_path, PUBLISHED_SCHEDULER)
        ending.callback(farm.stop)
        farm.start_scheduler()
        farm.launch_only_server()
        under_a_hail_of_signals(farm.server)
        log = farm.server.log.read_text()
        assert "the configuration was read again: nothing has changed" in log
        assert "drained: no new jobs" in log
        assert "not drained any more" in log


def under_a_hail_of_signals(daemon: Daemon) -> None:
    """From where it can handle them, until it has ended as SIGTERM ends a daemon."""
    daemon.wait_until(lambda: handles_signals(daemon), 60, "signals are handled")
    daemon.wait_until(lambda: hail(daemon) and "was read again" in daemon.tail(200), 60, "it runs")
    first = next(line for line in daemon.log.read_text().splitlines() if "sccachedist" in line)
    assert f"sccachedist {__version__}: " in first
    daemon.process.terminate()
    wait_until(lambda: hail(daemon) and not daemon.running, 60, "it has ended")
    assert daemon.process.returncode == -signal.SIGTERM
