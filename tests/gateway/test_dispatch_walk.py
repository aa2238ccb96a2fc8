"""hypothesis walks the dispatch: no job is lost, none runs twice at a time, and each ends."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sccachedist.errors import SessionOver
from sccachedist.gateway.decisions import ClosePlace, Decision, Dismiss, EndTicket, Give, JobKey, SendHome
from sccachedist.gateway.dispatch import (
    MOST_TRIES,
    Dispatch,
)
from sccachedist.wire.gateway import WorkerHello, WorkerState

SESSIONS, PLACES = st.sampled_from("abcd"), st.integers(1, 3)


class Walk(RuleBasedStateMachine):
    """Workers and jobs come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.dispatch, self.now = Dispatch(30.0), 0.0
        self.sessions: set[str] = set()
        self.open: set[tuple[str, int]] = set()
        self.waiting: set[JobKey] = set()
        self.tickets: dict[tuple[str, int], JobKey] = {}
        self.losses: Counter[JobKey] = Counter()
        self.leaving: set[str] = set()

    def obey(self, decisions: list[Decision]) -> None:
        """Carry out what was decided, in its order."""
        for decision in decisions:
            match decision:
                case Give(session=session, place=place, job=job, ticket=ticket):
                    self.open.remove((session, place))
                    self.waiting.remove(job)
                    assert (session, ticket) not in self.tickets
                    self.tickets[session, ticket] = job
                case ClosePlace(session=session, place=place):
                    self.open.remove((session, place))
                case EndTicket(session=session, ticket=ticket):
                    job = self.tickets.pop((session, ticket))
                    self.waiting.add(job)  # until it is given again, or goes home
                case Dismiss(session=session):
                    self.sessions.remove(session)
                    self.leaving.discard(session)
                    self.open = {each for each in self.open if each[0] != session}
                    for key in [key for key in self.tickets if key[0] == session]:
                        self.losses[self.tickets[key]] += 1
                        self.waiting.add(self.tickets.pop(key))
                case SendHome(job=job):
                    self.waiting.remove(job)

    @rule(
        session=SESSIONS,
        nonce=st.integers(1, 3),
        machines=st.sampled_from([(), (62, 3), (183, 62)]),
        way=st.integers(0, 1),
    )
    def comes(self, session: str, nonce: int, machines: tuple[int, ...], way: int) -> None:
        if session not in self.sessions:
            said = WorkerHello("w", nonce, 1, 2, machines, (), "1", way=way)
            try:
                told = self.dispatch.welcome(session, said, self.now)
            except SessionOver:
                others = [self.dispatch.hello(each) for each in self.sessions]
                assert any(each.nonce == nonce and each.way != way for each in others)
                return
            self.sessions.add(session)
            self.obey(told)

    @rule(session=SESSIONS)
    def goes(self, session: str) -> None:
        self.obey(self.dispatch.lose(session, self.now))
        assert session not in self.sessions

    @rule(session=SESSIONS)
    def leaves(self, session: str) -> None:
        if session in self.sessions:
            self.leaving.add(session)
            self.obey(self.dispatch.leave(session))

    @rule(session=SESSIONS, slots=st.integers(0, 2), places=st.sets(PLACES), last=st.integers(0, 3))
    def says_how_it_is(self, session: str, slots: int, places: set[int], last: int) -> None:
        if session not in self.sessions:
            return
        over = {(session, place) for place in range(1, last + 1) if place not in places}
        told = self.dispatch.listen(session, WorkerState(slots, slots, (), tuple(places), last), self.now)
        self.losses.update(self.tickets[each.session, each.ticket] for each in told if isinstance(each, EndTicket))
        self.obey(told)
        assert not over & self.open

    @rule(session=SESSIONS, place=PLACES)
    def asks(self, session: str, place: int) -> None:
        if session in self.sessions:
            self.open.add((session, place))
            self.obey(self.dispatch.ask(session, place, self.now))

    @rule(session=SESSIONS, place=PLACES)
    def withdraws(self, session: str, place: int) -> None:
        self.obey(self.dispatch.withdraw(session, place))
        assert (session, place) not in self.open

    @rule(toolchain=st.sampled_from("xy"), machine=st.sampled_from([0, 62, 183]))
    def a_job(self, toolchain: str, machine: int) -> None:
        self.waiting.add(JobKey(self.dispatch._last_key + 1))
        _, told = self.dispatch.submit(toolchain, machine, self.now)
        self.obey(told)

    @rule(data=st.data())
    def drops(self, data: st.DataObject) -> None:
        if jobs := sorted(self.waiting | set(self.tickets.values())):
            job = data.draw(st.sampled_from(jobs))
            self.obey(self.dispatch.drop(job))
            self.waiting.remove(job)

    @rule(data=st.data(), how=st.sampled_from(["settle", "refuse", "fail"]))
    def ends(self, data: st.DataObject, how: str) -> None:
        if self.tickets:
            session, ticket = data.draw(st.sampled_from(sorted(self.tickets)))
            job = self.tickets[session, ticket]
            if how == "settle":
                assert self.dispatch.settle(session, ticket) == self.tickets.pop((session, ticket))
            elif how == "refuse":
                self.waiting.add(self.tickets.pop((session, ticket)))
                self.obey(self.dispatch.refuse(session, ticket, self.now))
            else:
                self.losses[job] += 1
                self.obey(self.dispatch.fail(session, ticket, self.now))

    @rule(seconds=st.sampled_from([0.5, 3, 6, 11, 50]))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds
        self.obey(self.dispatch.look(self.now))

    @invariant()
    def it_is_as_it_should_be(self) -> None:
        """Each job waits or has one ticket; nothing waits that a place would suit; no job is tried too often."""
        assert self.dispatch.waiting == len(self.waiting)
        assert self.dispatch.given == len(self.tickets) == len(set(self.tickets.values()))
        for (session, ticket), job in self.tickets.items():
            assert self.dispatch.holder(session, ticket) == job
        assert not {session for session, _ in self.open} & self.leaving
        assert all(self.losses[job] < MOST_TRIES for job in self.waiting | set(self.tickets.values()))

    def teardown(self) -> None:
        """In the end, nothing is left."""
        self.obey(self.dispatch.stop())
        assert not self.waiting - set(self.tickets.values())


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
