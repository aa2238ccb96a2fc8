"""Row 8: a length of 2^62 in a message makes the program that reads it ask for as much memory."""

from collections.abc import Iterator
from pathlib import Path

from farmkit.raw_client import RawClient
from tests.hostile.attacks import Seen

LENGTHS = (2**62, 2**64 - 1, 2**63, 2**32, 2**40 + 1)


def lengths(attacker: RawClient, ground: Path) -> Iterator[Seen]:
    """An ``alloc_job`` whose archive id has an endless length."""
    for length in LENGTHS:
        said = attacker.ask("alloc_job", length.to_bytes(8, "little") + b"abc", attacker.client_token)
        yield Seen(f"a text of {length} bytes", str(said), not attacker.alive())
