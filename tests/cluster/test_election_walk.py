"""hypothesis walks an election of three schedulers, whose store is away, comes back, or has lost everything.

Questions and answers take any time and overtake each other, as those of stopped processes do; schedulers are killed and
start again, or end in order. Their clocks are wrong by up to an hour.
"""

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from sccachedist.cluster.election import STEP, ElectionCore
from sccachedist.cluster.leadership import Candidate, Following, Leadership, Leading
from sccachedist.cluster.lock import Holder
from tests.cluster.stores import MemoryStore

TTL, HOUR = 3.0, 3600.0
UNIX_TIME = 1_800_000_000.0
AHEAD = (0.0, HOUR, -HOUR)
PLACES = st.integers(0, len(AHEAD) - 1)
URLS = [f"http://10.0.0.{place}:10500" for place in range(len(AHEAD))]


@attrs.define(eq=False)
class Run:
    """One run of one scheduler, and what the store has said to it.

    :param lease: until when it may be sure that it has the lock.
    :param seen: the greatest number that it has heard of.
    """

    place: int
    me: Candidate
    core: ElectionCore
    lease: float = 0.0
    seen: int = 0
    resigned: bool = False
    alive: bool = True

    @property
    def leading(self) -> int | None:
        """The number by which it leads."""
        return self.core.current.number if isinstance(self.core.current, Leading) else None


@attrs.frozen(eq=False)
class Question:
    """A question on its way to the store."""

    run: Run
    asked: float
    least: int


@attrs.frozen(eq=False)
class Answer:
    """An answer on its way back.

    :param losses: how often the store had lost everything.
    """

    question: Question
    holder: Holder | None
    losses: int


class Walk(RuleBasedStateMachine):
    """What may happen, each with what must not follow from it."""

    questions: Bundle[Question] = Bundle("questions")
    answers: Bundle[Answer] = Bundle("answers")

    def __init__(self) -> None:
        super().__init__()
        self.now, self.store, self.is_away = 0.0, MemoryStore(), False
        self.losses, self.runs_so_far = 0, 0
        self.runs: list[Run] = []

    @initialize()
    def all_start(self) -> None:
        self.runs = [self._run(place) for place in range(len(AHEAD))]

    def _run(self, place: int) -> Run:
        self.runs_so_far += 1
        me = Candidate(URLS[place], f"run {self.runs_so_far}")
        return Run(place, me, ElectionCore(me, URLS, TTL, self.now))

    def _unix_time(self, run: Run) -> float:
        return UNIX_TIME + AHEAD[run.place] + self.now

    # -- time and processes --

    @rule(seconds=st.sampled_from([0.01, 0.5, 1.0, 2.5, 3.0, 6.0, HOUR]))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule(place=PLACES)
    def one_is_killed_and_starts_again(self, place: int) -> None:
        self.runs[place].alive = False
        self.runs[place] = self._run(place)

    @rule(place=PLACES)
    def one_ends_in_order(self, place: int) -> None:
        """It gives the lock up, where the store hears it, and another run follows later."""
        run = self.runs[place]
        run.core.resign()
        run.resigned, run.lease = True, 0.0
        if not self.is_away:
            self.store.release(run.me)

    # -- the store --

    @rule()
    def the_store_goes_away(self) -> None:
        self.is_away = True

    @rule()
    def the_store_comes_back(self) -> None:
        self.is_away = False

    @rule()
    def the_store_is_emptied(self) -> None:
        """What it has said before does not bind it any more."""
        self.store.empty()
        self.losses += 1
        for run in self.runs:
            run.lease = 0.0

    # -- questions and answers --

    @rule(target=questions, place=PLACES)
    def one_asks(self, place: int) -> Question:
        run = self.runs[place]
        return Question(run, self.now, run.core.least_number(self._unix_time(run)))

    @rule(target=answers, question=consumes(questions))
    def the_store_hears(self, question: Question) -> Answer:
        if self.is_away:
            self._goes_on(question.run, lambda: self._unanswered(question.run))
            return multiple()  # type: ignore[return-value]
        return Answer(question, self._taken(question), self.losses)

    def _taken(self, question: Question) -> Holder | None:
        if question.run.resigned:
            return self.store.holder(self.now)
        return self.store.take(question.run.me, question.least, TTL, self.now)

    @rule(question=consumes(questions))
    def nobody_hears(self, question: Question) -> None:
        self._goes_on(question.run, lambda: self._unanswered(question.run))

    @rule(answer=consumes(answers))
    def an_answer_is_lost(self, answer: Answer) -> None:
        self._goes_on(answer.question.run, lambda: self._unanswered(answer.question.run))

    @rule(answer=consumes(answers))
    def an_answer_arrives(self, answer: Answer) -> None:
        run, holder, before = answer.question.run, answer.holder, answer.question.run.core.current
        if not run.alive:
            return
        is_mine = holder is not None and holder.candidate == run.me
        run.core.answered(holder, answer.question.asked, self.now)
        if is_mine and run.leading is not None and answer.losses == self.losses:
            run.lease = max(run.lease, answer.question.asked + TTL)
        if run.core.current == before:
            return
        if isinstance(before, Leading) and run.leading is None:
            assert not is_mine  # the store said that another one leads
            run.lease = 0.0
        if run.leading is not None and holder is not None:
            assert is_mine
            assert self.now < answer.question.asked + TTL
            self._leads_anew(run, before)
        if holder is not None:
            run.seen = max(run.seen, holder.number)

    @rule(place=PLACES, leader=PLACES)
    def one_says_that_it_leads(self, place: int, leader: int) -> None:
        run, other = self.runs[place], self.runs[leader]
        if place != leader and other.leading is not None:
            self._goes_on(run, lambda: run.core.claimed(other.me, self.now, self.now))
            assert run.core.current != Following(run.me)

    def _unanswered(self, run: Run) -> None:
        before = run.core.current
        run.core.unanswered(self.now, self._unix_time(run))
        if run.core.current != before:
            assert not run.resigned
            self._leads_anew(run, before)

    def _leads_anew(self, run: Run, before: Leadership) -> None:
        """A time in office has a greater number than all that it has heard of."""
        assert run.leading is not None
        if run.seen and not isinstance(before, Leading) and run.leading != run.seen:
            assert run.leading >= run.seen + STEP
        run.seen = max(run.seen, run.leading)

    def _goes_on(self, run: Run, happens: object) -> None:
        """Whatever happens that is no word of the store, a leader goes on."""
        number = run.leading
        assert callable(happens)
        if run.alive:
            happens()
            assert number is None or run.leading == number

    # -- what always holds --

    @invariant()
    def one_holds_by_the_word_of_the_store(self) -> None:
        """However many lead, one at most may be sure of the lock."""
        sure = [run for run in self.runs if run.lease > self.now]
        assert len(sure) <= 1

    @invariant()
    def those_that_resigned_do_not_lead(self) -> None:
        assert not [run for run in self.runs if run.resigned and run.leading is not None]

    def teardown(self) -> None:
        """When nothing happens any more, one leads and all others follow it."""
        if not self.runs:
            return
        for _ in range(3):
            for run in self.runs:
                self.now += 0.5
                least = run.core.least_number(self._unix_time(run))
                run.core.answered(self._taken(Question(run, self.now, least)), self.now, self.now)
            self.now += 1.0
        leaders = [run for run in self.runs if run.leading is not None]
        assert len(leaders) == (not all(run.resigned for run in self.runs))
        for run in self.runs:
            assert run in leaders or run.core.current == Following(leaders[0].me if leaders else None)


TestElectionWalk = Walk.TestCase
TestElectionWalk.settings = settings(max_examples=60, stateful_step_count=60)
