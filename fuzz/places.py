"""Where fuzzing keeps its files: in memory if possible, because it makes and removes a great many."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

#: The inputs worth keeping, by target: small, and replayed by the suite.
CORPUS = Path(__file__).with_name("corpus")
#: The inputs that a run finds, not yet sifted, and those at which it fails.
FOUND = Path(__file__).with_name("_found")

_MEMORY = Path("/dev/shm")


@functools.cache
def scratch() -> Path:
    """A directory of this process, which is removed when the process ends."""
    place = tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None, prefix="sccachedist-fuzz-")
    atexit.register(shutil.rmtree, place)
    return Path(place)
