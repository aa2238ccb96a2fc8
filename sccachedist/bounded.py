"""Dictionaries that remember the latest of what strangers may make very much of. Pure."""

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def remember(known: dict[K, V], key: K, value: V, most: int) -> None:
    """Note a value as the latest one; the oldest is forgotten if there are more than ``most``."""
    known.pop(key, None)
    known[key] = value
    if len(known) > most:
        del known[next(iter(known))]
