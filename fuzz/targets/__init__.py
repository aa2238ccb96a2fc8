"""What is fuzzed: one module for each target, each with the same two functions.

``seeds()`` gives inputs to begin with, made of what published programs send. ``attack(data)`` takes any bytes and
raises if something happened that must not: an error that is not one of the package's, a change to something outside, or
two ways that disagree. A target knows nothing of the fuzzer, so that a finding can be replayed without it.
"""

import importlib
from collections.abc import Iterable
from typing import Protocol, cast

NAMES = ("codec", "run_job", "unpacker", "http", "configuration", "sequences", "gateway", "stored")


class Target(Protocol):
    """A module of this package."""

    def seeds(self) -> Iterable[bytes]:
        """Inputs to begin with."""

    def attack(self, data: bytes) -> None:
        """Try one input; any error that this raises is a finding."""


def target(name: str) -> Target:
    """The target of this name."""
    return cast(Target, importlib.import_module(f"fuzz.targets.{name}"))
