"""A role in the foreground: the same as ``twistd`` runs in the background. The one command that needs the reactor."""

import os
import sys
from pathlib import Path

from twisted.scripts.twistd import run

from sccachedist.daemon.log_levels import LOG_VARIABLE
from sccachedist.daemon.signals import survive

_PLUGINS = {"scheduler": "sccache-scheduler", "server": "sccache-server"}


def run_in_foreground(role: str, config: Path, syslog: str | None) -> None:
    """Run a role until it ends.

    :param role: ``scheduler`` or ``server``.
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
