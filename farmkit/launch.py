"""How a daemon is started in the foreground: ours, a published one, either with other tables in its configuration.

What a farm is made of and what becomes of the daemon is not known here.
"""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import attrs

from farmkit.processes import Command, inherited

#: From a configuration file to the command that runs a daemon with it in the foreground.
Launch: TypeAlias = Callable[[Path], Command]

#: The folder of this checkout, where ``twistd`` finds its plugins.
CHECKOUT = Path(__file__).resolve().parent.parent

#: The folder of the programs of the virtual environment that we run in.
PROGRAMS = Path(sys.prefix, "bin")

#: A table of authentication by a token that everybody knows.
INSECURE = 'type = "DANGEROUSLY_INSECURE"'

# The published build server insists on being root: of a user namespace is enough for it.
_AS_ROOT = () if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")


def twistd(plugin: str, checkout: Path = CHECKOUT) -> Launch:
    """One of our daemons, of another checkout with the virtual environment in there."""
    programs = PROGRAMS if checkout == CHECKOUT else checkout / ".venv" / "bin"

    def launch(config: Path) -> Command:
        arguments = (str(programs / "twistd"), "-n", "--pidfile=", plugin, "-c", str(config))
        return Command(arguments, inherited(PYTHONPATH=str(checkout)), checkout)

    return launch


def published(role: str, programs: Path = PROGRAMS) -> Launch:
    """``scheduler`` or ``server`` of a published release, the environment's own where no other folder is given."""
    before = _AS_ROOT if role == "server" else ()

    def launch(config: Path) -> Command:
        arguments = (*before, str(programs / "sccache-dist"), role, "--config", str(config))
        environment = inherited(SCCACHE_NO_DAEMON="1", SCCACHE_LOG="info")
        return Command(arguments, environment, config.parent)

    return launch


OUR_SCHEDULER = twistd("sccache-scheduler")
OUR_SERVER = twistd("sccache-server")
PUBLISHED_SCHEDULER = published("scheduler")
PUBLISHED_SERVER = published("server")


def inside(module: str, file: Path, command: Command) -> Command:
    """The same program, run by a module that is told a file: ``python -m MODULE FILE PROGRAM ARGUMENT...``."""
    return attrs.evolve(command, arguments=(str(PROGRAMS / "python"), "-m", module, str(file), *command.arguments))


def replacing(launch: Launch, **tables: str) -> Launch:
    """The same daemon with other tables in its configuration file."""

    def launch_replaced(config: Path) -> Command:
        text = config.read_text()
        for name, body in tables.items():
            text = re.sub(rf"(?ms)^\[{name}\]\n.*?(?=^\[|\Z)", f"[{name}]\n{body}\n\n", text)
        config.write_text(text)
        return launch(config)

    return launch_replaced


def adding(launch: Launch, **tables: str) -> Launch:
    """The same daemon with further tables in its configuration file."""

    def launch_with_more(config: Path) -> Command:
        more = "".join(f"\n[{name}]\n{body}\n" for name, body in tables.items())
        config.write_text(config.read_text() + more)
        return launch(config)

    return launch_with_more
