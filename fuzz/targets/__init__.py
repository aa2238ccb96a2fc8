"""What is fuzzed: a module a target, each with the same two functions.

``seeds()`` gives inputs to begin with, made of what published programs send. ``attack(data)`` takes any bytes and
raises where something happened that must not: an error that is none of ours, something outside that was touched, two
ways that disagree. A target knows nothing of the fuzzer, so that what was found is replayed without it.
"""

import importlib
from collections.abc import Iterable
from typing import Protocol, cast

NAMES = ("codec", "run_job", "unpacker", "http", "configuration", "sequences")


class Target(Protocol):
    """A module of this package."""

    def seeds(self) -> Iterable[bytes]:
        """Inputs to begin with."""

    def attack(self, data: bytes) -> None:
        """Try one input; whatever this raises is a finding."""


def target(name: str) -> Target:
    """The target of this name."""
    return cast(Target, importlib.import_module(f"fuzz.targets.{name}"))
