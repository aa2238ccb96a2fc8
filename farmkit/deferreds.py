"""How things that take their time have ended by now."""

from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


def pending(deferred: Deferred[Any]) -> bool:
    """Whether it has not ended yet."""
    return not deferred.called or deferred.paused > 0


def outcome(deferred: Deferred[T]) -> Any:
    """What it came to; an error is given, not raised."""
    ends: list[Any] = []
    deferred.addBoth(ends.append)
    assert ends, "it has not ended"
    return ends[0].value if isinstance(ends[0], Failure) else ends[0]
