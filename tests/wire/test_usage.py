"""What a job took, in bytes."""

import attrs

from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.usage import USAGE, Usage


def test_each_number_arrives() -> None:
    """However many there are."""
    numbers = {name: number for number, name in enumerate(attrs.asdict(Usage()), start=1)}
    usage = Usage(**numbers)
    assert decode(USAGE, encode(USAGE, usage)) == usage
    assert attrs.asdict(usage) == {**numbers, "prewarmed": True}
