"""All that the commands show of the documents in :mod:`tests.cli.farm.documents`, in one text for each screen.

``python -m tests.cli.farm.golden`` writes the texts again; the difference is then for a reader to judge.
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sccachedist.cli.farm import clients, job, jobs, servers, status, toolchains, usage, why
from sccachedist.cli.farm.screen import Screen
from tests.cli.farm import documents as made

FOLDER = Path(__file__).parent / "golden"
SOURCE = "http://farm.example.org:10600"
SCREENS = {
    "80": Screen(80, now=made.NOW, source=SOURCE),
    "80-ascii": Screen(80, unicode=False, now=made.NOW, source=SOURCE),
    "120-colour": Screen(120, colour=True, now=made.NOW, source=SOURCE),
    "200": Screen(200, now=made.NOW, source=SOURCE),
    "pipe": Screen(None, now=made.NOW, source=SOURCE),
}
RENDERERS: dict[str, Callable[[Screen], str]] = {
    "status": partial(status.render, made.STATUS),
    "servers": partial(servers.render, made.SERVERS),
    "jobs": partial(jobs.render, made.JOBS),
    "job": partial(job.render, made.JOB),
    "why": partial(why.render, made.WHY, name="PassBuilder.o"),
    "clients": partial(clients.render, made.CLIENTS),
    "toolchains": partial(toolchains.render, made.TOOLCHAINS),
    "usage": partial(usage.render, made.USAGE),
}


def shown(screen: Screen) -> str:
    """What each command prints, under its name."""
    return "".join(_parts(screen))


def _parts(screen: Screen) -> Iterator[str]:
    for name, render in RENDERERS.items():
        yield f"$ sccachedist {name}\n{render(screen)}\n\n"


if __name__ == "__main__":
    os.environ["TZ"] = "UTC"
    time.tzset()
    for name, screen in SCREENS.items():
        (FOLDER / f"{name}.txt").write_text(shown(screen), encoding="utf-8")
