"""Where fuzzing keeps its files. In memory where that can be, for it makes and removes a great many."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

#: What was found worth keeping, by target: small, and replayed by the suite.
CORPUS = Path(__file__).with_name("corpus")
#: What a run finds before it is sifted, and what it fails at.
FOUND = Path(__file__).with_name("_found")

_MEMORY = Path("/dev/shm")


@functools.cache
def scratch() -> Path:
    """A directory of this process, which goes with it."""
    place = tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None, prefix="sccachedist-fuzz-")
    atexit.register(shutil.rmtree, place)
    return Path(place)
