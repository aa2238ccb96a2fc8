"""Who leads, as one candidate sees it, one rule at a time. Candidates are ``A``, ``B``, ``C``; a TTL is 3 s."""

import pytest

from sccachedist.cluster.election import STEP, UNANSWERED, ElectionCore
from sccachedist.cluster.leadership import Candidate, Following, Leading
from sccachedist.cluster.lock import Holder

TTL = 3.0
UNIX_TIME = 1_800_000_000.0
NUMBER = 1_800_000_000_000_000
A, B, C = (Candidate(f"http://10.0.0.{index}:10500", f"run of {index}") for index in (1, 2, 3))
#: An earlier run of ``A``'s scheduler.
BEFORE_A = Candidate(A.url, "an earlier run")


def core_of_a(rank: int = 0) -> ElectionCore:
    """One that has just started, at time 0."""
    schedulers = [B.url, C.url]
    schedulers.insert(rank, A.url)
    return ElectionCore(A, schedulers, TTL, 0.0)


def leading() -> ElectionCore:
    """One that has the lock, since time 1."""
    core = core_of_a()
    core.answered(Holder(A, 7), asked=1.0, now=1.0)
    assert core.current == Leading(7)
    return core


def following(leader: Candidate = B) -> ElectionCore:
    """One that has heard at time 1 that another one has the lock."""
    core = core_of_a()
    core.answered(Holder(leader, 7), asked=1.0, now=1.0)
    assert core.current == Following(leader)
    return core


def unanswered(core: ElectionCore, *times: float) -> None:
    """Let questions be without an answer."""
    for now in times:
        core.unanswered(now, UNIX_TIME + now)


def test_the_first_word() -> None:
    """At first no scheduler is known to lead; the store's word decides."""
    assert core_of_a().current == Following(None)
    leading()
    following()


def test_a_leader_goes_on_while_the_store_is_silent() -> None:
    """However long that lasts, and whatever another one says; it keeps its number, also to take the lock again."""
    core = leading()
    unanswered(core, *range(2, 100))
    core.claimed(B, asked=100.0, now=100.0)
    assert core.current == Leading(7)
    assert core.least_number(UNIX_TIME) == 7


def test_a_leader_steps_down_at_the_word_of_the_store() -> None:
    """Another one has the lock."""
    core = leading()
    core.answered(Holder(B, 8), asked=2.0, now=2.0)
    assert core.current == Following(B)


@pytest.mark.parametrize(("asked", "now"), [(2.0, 5.0), (0.5, 1.5)], ids=["a TTL old", "overtaken by a later one"])
@pytest.mark.parametrize("holder", [Holder(A, 9), Holder(B, 9), None])
def test_old_answers(asked: float, now: float, holder: Holder | None) -> None:
    """An answer counts from its question: one that was long on its way, as to a stopped process, changes nothing."""
    for core in (leading(), following()):
        before = core.current
        core.answered(holder, asked, now)
        assert core.current == before


def test_a_lock_of_an_earlier_run() -> None:
    """A scheduler that was killed and is back does not lead by its old lock, nor follow itself."""
    core = core_of_a()
    core.answered(Holder(BEFORE_A, 7), asked=1.0, now=1.0)
    assert core.current == Following(None)
    core.claimed(BEFORE_A, asked=1.5, now=1.5)
    assert core.current == Following(None)


def test_a_start_without_a_store() -> None:
    """A candidate that hears neither of the store nor of a leader for a TTL leads without the lock."""
    core = core_of_a()
    unanswered(core, 0.5, 1.0, 1.5, 2.0, 2.9)
    assert isinstance(core.current, Following)
    unanswered(core, 3.0)
    assert core.least_number(UNIX_TIME) == NUMBER + 3_000_000
    assert isinstance(core.current, Leading)


def test_candidates_do_not_all_lead_without_a_store() -> None:
    """The second one waits for a TTL more, in which it hears that the first one leads."""
    core = core_of_a(rank=1)
    unanswered(core, 1.0, 2.0, 3.0, 4.0)
    assert core.current == Following(None)
    core.claimed(B, asked=4.0, now=4.1)
    assert core.current == Following(B)
    unanswered(core, 5.0, 6.0, 7.0, 9.9)
    assert core.current == Following(B)
    unanswered(core, 10.1)
    assert isinstance(core.current, Leading)


def test_a_follower_of_a_silent_leader() -> None:
    """When neither the store nor the leader says anything, a follower leads."""
    core = following()
    unanswered(core, 2.0, 3.0)
    core.claimed(B, asked=3.0, now=3.1)
    unanswered(core, 4.0, 5.0)
    assert core.current == Following(B)
    unanswered(core, 6.5)
    assert isinstance(core.current, Leading)


def test_time_in_which_a_process_did_not_run() -> None:
    """A process that was stopped for a minute, and then misses an answer, has not been without the store for a TTL."""
    core = following()
    unanswered(core, 61.0)
    assert core.current == Following(B)
    assert UNANSWERED > 1


def test_claims_of_others() -> None:
    """What a scheduler says of itself counts where no other leader was heard of a moment ago."""
    core = following()
    core.claimed(C, asked=1.2, now=1.3)
    assert core.current == Following(B)
    core.claimed(C, asked=2.5, now=2.6)
    assert core.current == Following(C)


@pytest.mark.parametrize(("asked", "now"), [(0.9, 1.1), (2.5, 5.5)], ids=["before the store's word", "a TTL old"])
def test_old_claims(asked: float, now: float) -> None:
    """They count from the question as well."""
    core = following()
    core.claimed(C, asked, now)
    assert core.current == Following(B)


def test_a_store_that_comes_back_empty() -> None:
    """A leader that said that it leads while the store was silent has a TTL to take the lock before others do."""
    core = following()
    assert core.may_take(1.5)
    core.claimed(B, asked=2.0, now=2.1)
    assert not core.may_take(4.9)
    core.answered(None, asked=2.5, now=2.5)
    assert core.current == Following(B)
    assert core.may_take(5.0)
    assert leading().may_take(1.5)


def test_a_leader_that_the_store_knows_again() -> None:
    """A leader whose store comes back has the number that the store says: a greater one if another led meanwhile."""
    core = leading()
    core.answered(Holder(A, 7 + STEP), asked=2.0, now=2.0)
    assert core.current == Leading(7 + STEP)


def test_a_lock_that_an_old_question_has_taken() -> None:
    """The store has lost the numbers that were heard of since: nobody leads by one below them, or too close to them."""
    core = following()
    core.answered(Holder(C, NUMBER), asked=2.0, now=2.0)
    for number, asked in ((NUMBER - STEP, 2.1), (NUMBER + 1, 2.2)):
        core.answered(Holder(A, number), asked=asked, now=asked)
        assert core.current == Following(C)
    least = core.least_number(UNIX_TIME)
    assert least == NUMBER + 1 + STEP
    core.answered(Holder(A, least), asked=2.3, now=2.3)
    assert core.current == Leading(least)


def test_numbers() -> None:
    """They are the time, or a step above those that were heard of."""
    core = core_of_a()
    assert core.least_number(UNIX_TIME) == NUMBER
    core.answered(Holder(B, NUMBER + 5), asked=1.0, now=1.0)
    assert core.least_number(UNIX_TIME) == NUMBER + 5 + STEP
    assert core.least_number(UNIX_TIME + 3600) == NUMBER + 3_600_000_000


def test_resigned() -> None:
    """A candidate that has resigned follows, and never leads again, whatever it hears."""
    core = leading()
    core.resign()
    assert core.current == Following(None)
    core.answered(Holder(A, 7), asked=2.0, now=2.0)
    unanswered(core, 3.0, 6.0, 9.0, 12.0)
    assert core.current == Following(None)
    core.answered(Holder(B, 8), asked=13.0, now=13.0)
    assert core.current == Following(B)
    core.answered(None, asked=14.0, now=14.0)
    assert core.current == Following(None)


def test_a_stranger_has_the_lock() -> None:
    """A stranger who can write to the store gets no requests by that: it is none of the farm's schedulers."""
    core = following()
    stranger = Candidate("http://10.0.0.9:10500", "?")
    core.answered(Holder(stranger, 8), asked=2.0, now=2.0)
    assert core.current == Following(None)


def test_a_claim_of_the_leader() -> None:
    """That the leader that is known leads, as it says itself while the store is away, is no change."""
    core = following()
    core.unanswered(now=3.0, unix_time=UNIX_TIME)
    core.claimed(Candidate(B.url, ""), asked=3.0, now=3.1)
    assert core.current == Following(B)
    core.answered(Holder(Candidate(B.url, "its next run"), 8), asked=4.0, now=4.1)
    assert core.current == Following(Candidate(B.url, "its next run"))
