"""Daemons with other tables in their configuration files than a farm writes."""

import re
from pathlib import Path

from demo.farm import Launch
from demo.processes import Command

#: A table of authentication by a token that everybody knows.
INSECURE = 'type = "DANGEROUSLY_INSECURE"'


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
