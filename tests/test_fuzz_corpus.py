"""What fuzzing found worth keeping is tried again, without the fuzzer."""

import pytest

from fuzz import targets
from fuzz.places import CORPUS


@pytest.mark.parametrize("name", targets.NAMES)
def test_replay(name: str) -> None:
    """Nothing in a target's corpus, nor what it began with, does what it must not."""
    target = targets.target(name)
    kept = sorted((CORPUS / name).iterdir())
    assert kept
    for data in (*target.seeds(), *(path.read_bytes() for path in kept)):
        target.attack(data)
