"""The published daemons, in the place of ours: how each is started in the foreground."""

import os
from pathlib import Path

from demo.farm import PROGRAMS, Launch
from demo.processes import Command, inherited

# The published build server insists on being root: of a user namespace is enough for it.
_AS_ROOT = () if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")


def _published(role: str, *before: str) -> Launch:
    def launch(config: Path) -> Command:
        arguments = (*before, str(PROGRAMS / "sccache-dist"), role, "--config", str(config))
        environment = inherited(SCCACHE_NO_DAEMON="1", SCCACHE_LOG="info")
        return Command(arguments, environment, config.parent)

    return launch


PUBLISHED_SCHEDULER = _published("scheduler")
PUBLISHED_SERVER = _published("server", *_AS_ROOT)
