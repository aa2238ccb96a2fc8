"""The published daemons, in the place of ours: how each is started in the foreground."""

import os
from pathlib import Path

from demo.farm import PROGRAMS, Launch
from demo.processes import Command, inherited

# The published build server insists on being root: of a user namespace is enough for it.
_AS_ROOT = () if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")


def published(role: str, programs: Path = PROGRAMS) -> Launch:
    """``scheduler`` or ``server`` of a published release, the environment's own where no other folder is given."""
    before = _AS_ROOT if role == "server" else ()

    def launch(config: Path) -> Command:
        arguments = (*before, str(programs / "sccache-dist"), role, "--config", str(config))
        environment = inherited(SCCACHE_NO_DAEMON="1", SCCACHE_LOG="info")
        return Command(arguments, environment, config.parent)

    return launch


PUBLISHED_SCHEDULER = published("scheduler")
PUBLISHED_SERVER = published("server")
