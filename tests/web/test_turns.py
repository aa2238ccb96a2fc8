"""The reactor's time, shared."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import attrs
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from sccachedist.web.turns import TURN_SECS, Tap, Turns


@attrs.define
class Worker:
    """Work that takes some time, and turns in which it is done."""

    clock: Clock = attrs.field(factory=Clock)
    cpu: float = 0.0
    done: list[str] = attrs.field(factory=list)
    turns: Turns = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.turns = Turns(self.clock, lambda: self.cpu)

    def run(self, party: str, seconds: float) -> bool:
        return self.turns.run(party, self.work(party, seconds))

    def work(self, party: str, seconds: float) -> Callable[[], None]:
        def work() -> None:
            self.cpu += seconds
            self.done.append(party)

        return work

    def turn(self) -> list[str]:
        """What is done in the next turn."""
        self.done.clear()
        before = self.cpu
        for call in self.clock.getDelayedCalls():
            function = cast(Any, call).func
            call.cancel()
            function()
        assert self.cpu - before <= 1.5 * TURN_SECS
        return self.done


def test_at_once() -> None:
    """Where there is little to do, it is done at once, and no turn is asked for."""
    worker = Worker()
    assert worker.run("a", TURN_SECS / 10)
    assert worker.done == ["a"]
    assert worker.clock.getDelayedCalls() == []


def test_fair() -> None:
    """Behind somebody with much to do nobody waits longer than a turn."""
    worker = Worker()
    assert worker.run("greedy", TURN_SECS)
    for _ in range(50):
        assert not worker.run("greedy", TURN_SECS / 2)
    assert not worker.run("modest", TURN_SECS / 100)
    assert worker.done == ["greedy"]
    assert worker.turn() == ["greedy", "modest", "greedy"]
    assert not worker.run("modest", TURN_SECS / 100)
    assert worker.turn() == ["greedy", "modest", "greedy"]
    while worker.clock.getDelayedCalls():
        assert set(worker.turn()) <= {"greedy"}
    assert worker.run("greedy", 0)


def test_in_order() -> None:
    """What one party has waiting is done in the order in which it came."""
    worker = Worker()
    done: list[int] = []
    worker.run("a", TURN_SECS)
    for number in range(5):
        worker.turns.run("a", partial(done.append, number))
    worker.turn()
    assert done == [0, 1, 2, 3, 4]


def test_later() -> None:
    """What is put off is done in the next turn, and what it puts off in the one after that."""
    worker = Worker()
    worker.turns.run_later("a", lambda: worker.turns.run_later("a", worker.work("a", TURN_SECS)))
    worker.turns.run_later("b", worker.work("b", TURN_SECS))
    assert worker.done == []
    assert worker.turn() == ["b"]
    assert worker.turn() == ["a"]


def test_fails() -> None:
    """Work that fails is logged, and others have their turns."""
    worker = Worker()

    def fail() -> None:
        raise RuntimeError

    with capturedLogs() as events:
        worker.turns.run_later("a", fail)
        worker.turns.run_later("b", worker.work("b", 0))
        assert worker.turn() == ["b"]
    assert len(events) == 1


def test_tap() -> None:
    """A connection is read from when there is no reason against it any more."""
    said: list[str] = []
    tap = Tap(lambda: said.append("pause"), lambda: said.append("resume"))
    for step, heard in [
        (tap.close, ["pause"]),
        (tap.close, []),
        (tap.open, ["resume"]),
        (tap.open, []),
    ]:
        step("a")
        assert said == heard
        said.clear()
    tap.close("a")
    tap.close("b")
    tap.open("a")
    assert said == ["pause"]
    tap.open("b")
    assert said == ["pause", "resume"]
