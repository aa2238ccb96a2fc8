"""Long work in slices, and documents that are written in them."""

import json
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from farmkit.deferreds import outcome
from sccachedist.web.slices import LOOK_AFTER, REST_SECS, SLICE_SECS, Slices
from sccachedist.web.turns import unhurried


def slices_of(spent: Iterator[float]) -> tuple[Slices, Clock]:
    clock = Clock()
    return Slices(unhurried(clock), lambda: next(spent)), clock


async def collected(slices: Slices, count: int, into: list[int]) -> None:
    async for item in slices.of("10.0.0.1", range(count)):
        into += [item]


def test_a_turn_in_between() -> None:
    """When the time of a slice is used up, the rest waits for its turn."""
    slices, clock = slices_of(chain([0.0, SLICE_SECS / 2, SLICE_SECS], repeat(SLICE_SECS)))
    found: list[int] = []
    running = Deferred.fromCoroutine(collected(slices, 3 * LOOK_AFTER, found))
    assert len(found) == 2 * LOOK_AFTER
    clock.advance(0)
    assert len(found) == 3 * LOOK_AFTER
    outcome(running)


def test_one_after_the_other() -> None:
    """What has used a part of its slice leaves none of it to what comes next; what has used next to nothing goes on."""
    for took, goes_on in ((REST_SECS, False), (REST_SECS / 2, True)):
        slices, clock = slices_of(chain([0.0], repeat(took)))
        running = Deferred.fromCoroutine(collected(slices, 3, []))
        assert running.called is goes_on
        clock.advance(0)
        outcome(running)


def test_no_hurry() -> None:
    """Where no job waits for the work there is time for others between two slices."""
    clock = Clock()
    patient, hurried = (Slices(unhurried(clock), lambda: 0.0, pause_secs) for pause_secs in (0.5, 0.0))
    resting = [Deferred.fromCoroutine(each.rest("10.0.0.1")) for each in (patient, hurried)]
    clock.advance(0)
    assert [each.called for each in resting] == [False, True]
    clock.advance(0.5)
    assert resting[0].called


def test_documents() -> None:
    """Lists and what iterates are written item by item; nothing but ASCII comes out."""
    slices, _ = slices_of(repeat(0.0))
    shown: dict[str, Any] = {"v": 1, "text": '\u202e\x1b"', "none": None, "list": [{"a": 1}, 2], "empty": []}
    written = outcome(Deferred.fromCoroutine(slices.json("10.0.0.1", {**shown, "more": map(str, range(3))})))
    assert json.loads(written) == {**shown, "more": ["0", "1", "2"]}
    assert written.isascii()
