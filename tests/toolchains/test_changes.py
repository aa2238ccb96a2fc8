"""What a scheduler hears of the toolchains that come and go, though messages are lost, late or out of order."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.scheduler.build_server import BuildServer
from sccachedist.scheduler.fleet import Fleet
from sccachedist.toolchains import changes
from sccachedist.toolchains.changes import ToolchainNews
from sccachedist.toolchains.lru import ToolchainIndex
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.extension import Availability, ServerReport
from sccachedist.wire.messages import Heartbeat

A, B, C, D = TOOLCHAINS = [ArchiveId(digit * 64) for digit in "abcd"]
ONE, ALL = 82, 1 << 20


def here(*toolchains: ArchiveId) -> ToolchainIndex:
    """A build server's toolchains, the last one used last."""
    index = ToolchainIndex(1000, 100)
    for toolchain in toolchains:
        index.add(toolchain, 1)
    return index


def tells(index: ToolchainIndex, room: int = ALL) -> tuple[str, str, bool]:
    """What the next report tells, which the scheduler hears; and whether it tells everything again."""
    news = index.log.news(room)
    index.log.heard(news.until)
    held, gone = ("".join(each[0] for each in toolchains) for toolchains in (news.held, news.gone))
    return held, gone, news.since == 0


def test_the_first_report() -> None:
    """A scheduler that knows nothing hears of all that is there, what was used last first."""
    index = here(A, B, C)
    index.remove(B)
    assert tells(index) == ("ca", "", True)
    assert index.log.is_told


def test_changes() -> None:
    """Then it hears of what has changed, and of each toolchain how it is now."""
    index = here(A, B)
    tells(index)
    assert tells(index) == ("", "", False)
    index.remove(A)
    index.add(C, 1)
    index.remove(B)
    index.add(B, 1)
    assert not index.log.is_told
    assert tells(index) == ("cb", "a", False)
    assert tells(index) == ("", "", False)


def test_what_is_learned_of_one() -> None:
    """A toolchain is told again when it is known which machine it needs."""
    index = here(A, B)
    tells(index)
    assert index.looked_at(A, 183)
    news = index.log.news(ALL)
    assert (news.held, news.sizes, news.built_for, news.since) == ((A,), (1,), (183,), index.log.told)
    index.remove(A)
    index.add(A, 1)
    assert index.log.news(ALL).built_for == (0,)


def test_more_than_fits() -> None:
    """What does not fit into one report is in the next ones; where nothing fits, all of it waits."""
    index = here(A, B, C)
    assert tells(index, ONE - 1) == ("", "", True)
    assert tells(index, 2 * ONE) == ("cb", "", True)
    assert tells(index, ONE) == ("a", "", False)
    index.remove(C)
    index.remove(B)
    assert tells(index, -5) == ("", "", False)
    assert [tells(index, 2 * ONE - 1) for _ in range(3)] == [("", "c", False), ("", "b", False), ("", "", False)]


def test_a_report_that_is_lost() -> None:
    """What it told is in the next one."""
    index = here(A)
    tells(index)
    index.add(B, 1)
    assert index.log.news(ALL).held == (B,)
    index.remove(A)
    assert tells(index) == ("b", "a", False)


def test_gone_before_the_first_answer() -> None:
    """A scheduler that has just heard that a toolchain is here hears that it has gone meanwhile."""
    index, scheduler = here(A, B), Scheduler()
    answer = scheduler.hears(0, index.log.news(ALL))
    index.remove(A)
    index.log.heard(answer)
    scheduler.hears(1, index.log.news(ALL))
    assert scheduler.server.toolchains == {B}


@pytest.mark.parametrize("told", [0, 2, 10**6])
def test_a_scheduler_that_has_forgotten(told: int) -> None:
    """It is told everything again, and not of what has gone."""
    index = here(A, B, C)
    tells(index)
    index.remove(B)
    tells(index)
    index.log.heard(told)
    assert tells(index) == ("ca", "", True)


def test_a_scheduler_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not hear is not kept for ever."""
    monkeypatch.setattr(changes, "MOST_GONE", 3)
    index = here(*TOOLCHAINS)
    tells(index)
    for toolchain in TOOLCHAINS[:3]:
        index.remove(toolchain)
    assert index.log.news(ALL).gone == (A, B, C)
    index.remove(D)
    index.add(A, 1)
    assert tells(index) == ("a", "", True)


def test_the_scheduler_is_a_published_one() -> None:
    """It never says what it has heard: nothing piles up for it."""
    index = here()
    for number in range(1000):
        toolchain = ArchiveId(f"{number:064x}")
        index.add(toolchain, 1)
        index.remove(toolchain)
    assert index.log.news(ALL) == ToolchainNews((), (), 0, 2000)


SERVER = ServerId.parse("10.0.0.1:1")


class Scheduler:
    """A scheduler's memory of one build server."""

    def __init__(self) -> None:
        self.fleet, self.server, self.number = Fleet(), BuildServer(SERVER, Heartbeat(b"", 1, 1, b"", b""), 0.0), -1
        self.fleet.enter(self.server)

    def hears(self, number: int, news: ToolchainNews) -> int:
        """A report, which is passed over where a later one was quicker, as the core does; returns the answer."""
        if number > self.number:
            self.number = number
            report = ServerReport(number, 5, Availability.OPEN, (), news.held, news.gone, news.since, news.until)
            self.fleet.learned(self.server, report)
        return self.server.told


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["change", "send", "arrive", "answer", "lose", "restart", "other message"]), st.integers(0, 9)
    )
)


@given(STEPS)
def test_every_history(steps: list[tuple[str, int]]) -> None:
    """Whatever is lost or overtaken, in the end the scheduler knows what is there."""
    index, scheduler, numbers = ToolchainIndex(1000, 3), Scheduler(), count()
    sent: list[tuple[int, ToolchainNews]] = []
    answers: list[int] = []
    for step, which in steps:
        if step == "change":
            toolchain = TOOLCHAINS[which % 4]
            if toolchain in index:
                index.remove(toolchain)
            else:
                index.add(toolchain, 1)
        elif step == "send":
            sent.append((next(numbers), index.log.news(which % 3 * ONE)))
        elif step == "arrive" and sent:
            answers.append(scheduler.hears(*sent.pop(which % len(sent))))
        elif step == "answer" and answers:
            index.log.heard(answers.pop(which % len(answers)))
        elif step == "lose" and sent:
            sent.pop(which % len(sent))
        elif step == "restart":
            scheduler = Scheduler()
        elif step == "other message":
            scheduler.number = next(numbers)
    for _ in range(12):
        index.log.heard(scheduler.hears(next(numbers), index.log.news(ONE)))
    assert index.log.is_told
    assert scheduler.server.toolchains == {each for each in TOOLCHAINS if each in index}
    assert set(scheduler.fleet._holders) == scheduler.server.toolchains
