"""A secret that changes while others still show the one before it.

What a secret opens is not known here.
"""

from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

import attrs

T = TypeVar("T", str, bytes)


@attrs.define
class Secrets(Generic[T]):
    """The secrets that are good now.

    :param current: the one that others are to show; ``previous``: one that is good as well while it is configured.
    :param outdated: called with the name of a peer that has shown another secret than the current one.
    :param now: seconds, of any clock that only grows.
    """

    current: T = attrs.field(repr=False)
    previous: T | None = attrs.field(default=None, repr=False)
    outdated: Callable[[str], None] = attrs.field(default=lambda _: None, eq=False, repr=False)
    _now: Callable[[], float] = attrs.field(default=monotonic, eq=False, repr=False)
    _former: dict[T, float] = attrs.field(factory=dict, init=False, repr=False)

    def which(self, fits: Callable[[T], bool]) -> T | None:
        """The secret that fits, the current one before all others; None if none does."""
        if fits(self.current):
            return self.current
        return next((other for other in self.others() if fits(other)), None)

    def others(self) -> tuple[T, ...]:
        """Those that are good besides the current one."""
        now = self._now()
        former = tuple(secret for secret, until in self._former.items() if now < until)
        return former if self.previous is None else (self.previous,) + former  # noqa: RUF005 - mypy errs at the other

    def replace(self, current: T, previous: T | None, grace_secs: float) -> None:
        """Take over what the configuration has now; what it had before is good for some seconds more."""
        until = self._now() + grace_secs
        self._former = {secret: self._former[secret] for secret in self.others() if secret in self._former}
        self._former |= {secret: until for secret in (self.current, self.previous) if secret is not None}
        self.current, self.previous = current, previous


def texts(given: str | Secrets[str]) -> Secrets[str]:
    """A text that is the only one is written as it is."""
    return Secrets(given) if isinstance(given, str) else given


def keys(given: bytes | Secrets[bytes]) -> Secrets[bytes]:
    """The same for a key."""
    return Secrets(given) if isinstance(given, bytes) else given
