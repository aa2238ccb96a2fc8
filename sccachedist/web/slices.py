"""Long work in slices, between which the reactor does other things. What the work is, is not known here."""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TypeVar

from twisted.internet.defer import Deferred

from sccachedist.web.turns import Turns

T = TypeVar("T")

#: Seconds of CPU after which a slice ends, and after how many items that is looked at.
SLICE_SECS, LOOK_AFTER = 0.0006, 4
#: The same after the last item.
REST_SECS = 0.0003
#: Seconds between two slices where no job waits for the end of the work.
PAUSE_SECS = 0.003
#: A value in JSON, in ASCII and without spaces.
dumped = json.JSONEncoder(separators=(",", ":")).encode


class Slices:
    """Goes through many items, and lets the reactor turn in between.

    :param turns: those of the reactor, shared between addresses.
    :param spent: the seconds of CPU that this thread has used.
    :param pause_secs: seconds between two slices. A request needs several turns of the reactor: without a pause it
        would find a slice in each of them.
    """

    def __init__(
        self,
        turns: Turns,
        spent: Callable[[], float] = time.thread_time,
        pause_secs: float = 0.0,
    ) -> None:
        self._turns, self._spent, self._pause_secs = turns, spent, pause_secs

    async def of(self, party: str, items: Iterable[T]) -> AsyncIterator[T]:
        """The items, one by one.

        :param party: the address for which they are wanted.
        """
        began = self._spent()
        for number, item in enumerate(items, 1):
            yield item
            if number % LOOK_AFTER == 0 and self._spent() - began >= SLICE_SECS:
                await self.rest(party)
                began = self._spent()
        if self._spent() - began >= REST_SECS:  # what comes next begins a slice of its own
            await self.rest(party)

    async def rest(self, party: str) -> None:
        """Let the reactor do other things."""
        turn: Deferred[None] = Deferred()
        self._turns.run_next(party, partial(turn.callback, None), self._pause_secs)
        await turn

    async def json(self, party: str, document: Mapping[str, object]) -> bytes:
        """A document in JSON, in ASCII alone. Its lists, or what iterates, may be long; nothing else in it may be."""
        out = bytearray(b"{")
        for key, value in document.items():
            out += f"{dumped(key)}:".encode()
            if isinstance(value, list | Iterator):
                out += b"["
                async for item in self.of(party, value):
                    out += dumped(item).encode()
                    out += b","
                _end(out, b"]")
            else:
                out += dumped(value).encode()
            out += b","
        _end(out, b"}")
        return bytes(out)


def _end(out: bytearray, bracket: bytes) -> None:
    """Put a bracket in the place of the last comma."""
    if out.endswith(b","):
        del out[-1:]
    out += bracket
