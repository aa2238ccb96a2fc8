"""A role in the foreground, and ``twistd``, which runs it in the background: the commands that need the reactor."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from twisted.scripts.twistd import run

from sccachedist.daemon.log_levels import LOG_VARIABLE
from sccachedist.daemon.signals import survive

_PLUGINS = {"scheduler": "sccache-scheduler", "server": "sccache-server", "worker": "sccache-worker"}


def run_in_foreground(role: str, config: Path, syslog: str | None) -> None:
    """Run a role until it ends.

    :param role: ``scheduler``, ``server`` or ``worker``.
    :param syslog: the level from which the host's syslog is told what happens; None for the terminal.
    """
    survive(lambda _: None)  # until the role is made: it also logs each signal
    # Several roles may share a directory, so there is no PID file.
    sys.argv = [sys.argv[0], "--nodaemon", "--pidfile="]
    if syslog:
        sys.argv += ["--syslog", "--prefix=sccachedist"]
        os.environ[LOG_VARIABLE] = syslog
    sys.argv += [_PLUGINS[role], f"--config={config}"]
    run()


def run_twistd(arguments: Sequence[str]) -> None:
    """Run ``twistd`` as its own command does: where this package is installed by itself, that is not on the PATH."""
    survive(lambda _: None)
    sys.argv = ["twistd", *arguments]
    run()
