"""Work that several callers ask for at once and that is done once. It does not know what the work is."""

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred

K = TypeVar("K", bound=Hashable)


class SingleFlight(Generic[K]):
    """Runs at most one piece of work at a time for each key.

    The work goes on when the callers that wait for it are cancelled.
    """

    def __init__(self) -> None:
        self._waiting: dict[K, list[Deferred[None]]] = {}

    def __contains__(self, key: K) -> bool:
        """Whether work for this key is running."""
        return key in self._waiting

    async def do(self, key: K, work: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        """Do the work, or wait for the same work that is running; every caller gets its result, be it an error."""
        waiter: Deferred[None] = Deferred()
        if key in self._waiting:
            self._waiting[key].append(waiter)
        else:
            self._waiting[key] = [waiter]
            Deferred.fromCoroutine(work()).addBoth(self._done, key)
        await waiter

    def _done(self, result: Any, key: K) -> None:
        for waiter in self._waiting.pop(key):
            waiter.callback(result)  # a cancelled waiter ignores it
