"""``python -m fuzz.sift TARGET``: of all inputs that a target has, keep the few that are worth replaying.

An input is worth replaying if the code takes a way that it takes for no shorter input. A way is a pair of lines of the
package that run one after the other. The kept inputs go to ``fuzz/corpus``, named by their digests.
"""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import sccachedist
from fuzz import targets
from fuzz.places import CORPUS, FOUND

_PACKAGE = str(Path(sccachedist.__file__).parent)

Way = tuple[str, int, int]


def ways(target: targets.Target, data: bytes) -> set[Way]:
    """The ways that the code takes for an input."""
    found: set[Way] = set()
    last: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        if event == "line":
            found.add((frame.f_code.co_filename, last.get(frame, 0), frame.f_lineno))
        last[frame] = frame.f_lineno
        return trace

    sys.settrace(trace)
    try:
        target.attack(data)
    finally:
        sys.settrace(None)
    return found


def sifted(target: targets.Target, inputs: set[bytes]) -> Iterator[bytes]:
    """The inputs that are worth keeping, the shortest first."""
    target.attack(b"\0")  # what is made only once is not counted for any input
    target.attack(b"\1")
    seen: set[Way] = set()
    for data in sorted(inputs, key=lambda each: (len(each), each)):
        if not (found := ways(target, data)) <= seen:
            seen |= found
            yield data


def main(name: str) -> None:
    """Sift one target's inputs: those that are kept already, the seeds, and those that the last runs have found."""
    corpus, target = CORPUS / name, targets.target(name)
    corpus.mkdir(parents=True, exist_ok=True)
    files = [path for place in (corpus, FOUND / name) if place.is_dir() for path in place.iterdir()]
    kept = list(sifted(target, {*target.seeds(), *(path.read_bytes() for path in files)}))
    for path in corpus.iterdir():
        path.unlink()
    for data in kept:
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    print(f"{name}: {len(kept)} of {len(files)} inputs kept, {sum(map(len, kept))} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
