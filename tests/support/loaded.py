"""What a daemon and its sandbox workers have imported: ``python -m tests.support.loaded FILE PROGRAM ARGUMENT...``.

At its end the daemon writes the names of its modules to FILE. Its overlay builder's workers write theirs to
:data:`WORKERS`, in the builder's directory, after each job.
"""

import json
import os
import runpy
import sys
from pathlib import Path

from farmkit.launch import Launch, inside
from farmkit.processes import Command

WORKERS = "loaded-by-worker"
_NAME = "loaded"


def noted(launch: Launch) -> Launch:
    """The same daemon, with :func:`loaded_by` its configuration file."""

    def launch_noted(config: Path) -> Command:
        return inside(__name__, config.with_name(_NAME), launch(config))

    return launch_noted


def loaded_by(folder: Path) -> set[str]:
    """The modules of the daemon whose configuration file was in this folder, once it has ended."""
    return names_in(folder / _NAME)


def names_in(file: Path) -> set[str]:
    """The modules that a file names."""
    return set(json.loads(file.read_text()))


def note(file: Path) -> None:
    """Write down what this process has imported."""
    file.write_text(json.dumps(sorted(sys.modules)))


def main() -> None:
    """Run the program."""
    _, file, *sys.argv = sys.argv
    kill = os.kill

    def noting_kill(pid: int, number: int) -> None:
        note(Path(file))
        kill(pid, number)

    os.kill = noting_kill  # twistd ends by the signal that stopped it
    if "sccache-server" in sys.argv:
        from sccachedist.builders import overlay

        overlay._WORKER = "tests.support.loaded_worker"
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
