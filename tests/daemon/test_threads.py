"""Threads that a daemon leaves behind when it ends."""

import threading
from typing import Any

import pytest
from twisted.internet.selectreactor import SelectReactor
from twisted.python.threadpool import ThreadPool

from sccachedist.daemon import threads
from sccachedist.daemon.threads import let_threads_be_left


class Pooled:
    """A reactor, as far as it has a pool."""

    def __init__(self) -> None:
        self.pool = ThreadPool(0, 10)

    def getThreadPool(self) -> ThreadPool:  # noqa: N802
        return self.pool


@pytest.fixture
def pool() -> ThreadPool:
    reactor = Pooled()
    let_threads_be_left(reactor)
    reactor.pool.start()
    return reactor.pool


def test_one_that_hangs(pool: ThreadPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end waits for it for a moment; it does not keep the process alive."""
    monkeypatch.setattr(threads, "END_SECS", 0.05)
    hangs, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        hangs.wait()

    pool.callInThread(work)
    begun.wait()
    (thread,) = pool.threads
    pool.stop()
    assert (thread.is_alive(), thread.daemon) == (True, True)
    hangs.set()
    thread.join(60)
    assert not thread.is_alive()


def test_those_that_work(pool: ThreadPool) -> None:
    """What they do is done before the end."""
    done: list[Any] = []
    for number in range(5):
        pool.callInThread(done.append, number)
    pool.stop()
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_a_real_reactor() -> None:
    """Its pool takes them: Twisted makes the threads when there is something to do."""
    reactor: Any = SelectReactor()
    let_threads_be_left(reactor)
    assert reactor.getThreadPool().threadFactory is threads.LeavableThread
