"""hypothesis walks the scheduler core, hostile build servers included, beside a model that is too simple to be wrong.

What the model says about each call is written down as the rule is told.
"""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, consumes, initialize, invariant, multiple, rule

from sccachedist.budgets import Party
from sccachedist.errors import BadTransition, DecodeError, NoCapacity, SccachedistError, UnknownJob, UnknownServer
from sccachedist.scheduler.backoff import MOST_SECS
from sccachedist.scheduler.core import Reservation
from sccachedist.scheduler.events import (
    JobAdopted,
    JobAllocated,
    JobEnded,
    JobStarted,
    ServerJoined,
    ServerLeft,
    SlotLent,
)
from sccachedist.scheduler.heartbeat_bounds import IdentityInUse
from sccachedist.scheduler.server_counts import ServerCounts
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.extension import Availability, JobStates, ServerReport
from sccachedist.wire.messages import JobId, JobState
from tests.scheduler.core_model import CLIENTS, LIFE, OURS_SECS, CoreBesideModel, Job, Server
from tests.scheduler.farms import FIRST_JOB, SERVERS, assigned, expired, free_slots, heartbeat


class Walk(CoreBesideModel):
    """What may happen to the core, each with what the model says of it."""

    reservations: Bundle[Reservation] = Bundle("reservations")
    assigned_jobs: Bundle[Reservation] = Bundle("assigned_jobs")

    @initialize()
    def two_servers_come(self) -> None:
        """A published one, and one of ours."""
        self.a_heartbeat(SERVERS[0], 1, 1)
        self.a_heartbeat_of_ours(SERVERS[1], 2, 1, set(), set(), set())

    @rule(seconds=st.sampled_from([0.01, 0.5, 1, 5, 10, 20, 61, 91, 301, 1201]))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule(server_id=st.sampled_from(SERVERS), cpus=st.integers(1, 3), nonce=st.sampled_from([1, 1, 1, 2]))
    def a_heartbeat(self, server_id: ServerId, cpus: int, nonce: int) -> None:
        events = self.core.heartbeat(server_id, heartbeat(cpus, nonce), self.now)
        known = self.servers.get(server_id)
        is_new = known is None or known.nonce != nonce
        assert any(isinstance(event, ServerJoined) for event in events) == is_new
        if known is not None and is_new:
            self.drop(server_id)
        if is_new:
            self.servers[server_id] = Server(cpus, nonce, self.now)
        elif known is not None:
            known.cpus, known.seen, known.ours = cpus, self.now, False

    @rule(
        server_id=st.sampled_from(SERVERS),
        cpus=st.integers(1, 3),
        nonce=st.sampled_from([1, 1, 1, 2]),
        keep=st.sets(st.integers(0, 4)),
        invented=st.sets(st.integers(1, 3), max_size=1),
        foreign=st.sets(st.integers(0, 9), max_size=1),
    )
    def a_heartbeat_of_ours(
        self, server_id: ServerId, cpus: int, nonce: int, keep: set[int], invented: set[int], foreign: set[int]
    ) -> None:
        """It names some of its jobs, perhaps one from before and one of another; what it names no more is free."""
        known = self.servers.get(server_id)
        is_new = known is None or known.nonce != nonce
        mine = [] if is_new else self.of(server_id)
        named = [job for index, job in enumerate(mine) if index in keep and job.where != "reserved"]
        states = {job.job_id: JobState.STARTED for job in named}
        states |= {JobId(1000 + number): JobState.STARTED for number in invented}
        states |= dict.fromkeys(self.of_others(server_id, foreign), JobState.STARTED)
        self.number += 1
        report = ServerReport(self.number, OURS_SECS, Availability.OPEN, tuple(states.items()), ())
        events = self.core.heartbeat(server_id, heartbeat(cpus, nonce), self.now, report)
        assert any(isinstance(event, ServerJoined) for event in events) == is_new
        if known is not None and is_new:
            self.drop(server_id)
        if is_new:
            self.servers[server_id] = Server(cpus, nonce, self.now, ours=True)
        server = self.servers[server_id]
        server.cpus, server.seen, server.ours = cpus, self.now, True
        gone = [job for job in mine if job.named and job.job_id not in states]
        self.jobs = [job for job in self.jobs if job not in gone]
        for job in self.of(server_id):
            job.named |= job.where == "started"
        for job_id in states:
            if (old := self.job(job_id)) is None:
                self.jobs.append(Job(job_id, server_id, "started", self.now, named=True))
                continue
            if old.server_id != server_id:
                continue
            if old.where != "started":
                self.move(old, "started")
            old.named = True

    @rule(
        server_id=st.sampled_from(SERVERS),
        steps=st.lists(st.tuples(st.integers(0, 4), st.sampled_from(JobState)), max_size=3),
        nonce=st.sampled_from([1, 1, 1, 2]),
        overtaken=st.booleans(),
        foreign=st.dictionaries(st.integers(0, 9), st.sampled_from(JobState), max_size=1),
    )
    def several_reports_of_ours(
        self,
        server_id: ServerId,
        steps: list[tuple[int, JobState]],
        nonce: int,
        overtaken: bool,
        foreign: dict[int, JobState],
    ) -> None:
        """Forwards, backwards and again, for its jobs and another's; what was overtaken tells of ends alone."""
        mine = [job for job in self.of(server_id) if job.where != "reserved"]
        states = {mine[index].job_id: state for index, state in steps if index < len(mine)}
        states |= {job_id: state for index, state in foreign.items() for job_id in self.of_others(server_id, {index})}
        said = JobStates(nonce, 0 if overtaken else self.number + 1, tuple(states.items()))
        server = self.servers.get(server_id)
        if server is None or not server.ours or server.nonce != nonce:
            with pytest.raises(UnknownServer):
                self.core.job_states(server_id, said, self.now)
            return
        self.core.job_states(server_id, said, self.now)
        server.seen, self.number = self.now, max(self.number, said.number)
        named = {job.job_id for job in self.jobs if job.named}
        for job_id, state in states.items():
            if not overtaken or (state is JobState.COMPLETE and job_id not in named):
                self.told(server_id, job_id, state)

    @rule(server_id=st.sampled_from(SERVERS))
    def an_overtaken_heartbeat(self, server_id: ServerId) -> None:
        """It shows that its build server lives, and nothing else."""
        server = self.servers.get(server_id)
        if server is not None and server.ours:
            report = ServerReport(0, OURS_SECS, Availability.GONE, (), ())
            assert self.core.heartbeat(server_id, heartbeat(7, server.nonce), self.now, report) == ()
            server.seen = self.now

    @rule(server_id=st.sampled_from(SERVERS), secs=st.sampled_from([0, 3601, 2**64 - 1]))
    def a_heartbeat_that_announces_the_impossible(self, server_id: ServerId, secs: int) -> None:
        report = ServerReport(self.number + 1, secs, Availability.OPEN, (), ())
        with pytest.raises(DecodeError):
            self.core.heartbeat(server_id, heartbeat(1, 1), self.now, report)

    @rule(server_id=st.sampled_from(SERVERS), nonce=st.integers(1, 2))
    def a_heartbeat_of_somebody_else(self, server_id: ServerId, nonce: int) -> None:
        """Nothing changes while one of ours is at this address."""
        server = self.servers.get(server_id)
        if server is not None and server.ours and self.now - server.seen <= 6 * OURS_SECS:
            with pytest.raises(IdentityInUse):
                self.core.heartbeat(server_id, heartbeat(1, nonce, job_key=b"another"), self.now)

    @rule(server_id=st.sampled_from(SERVERS), nonce=st.integers(1, 2))
    def a_lying_heartbeat(self, server_id: ServerId, nonce: int) -> None:
        with pytest.raises(DecodeError):
            self.core.heartbeat(server_id, heartbeat(0, nonce), self.now)

    @rule(
        target=reservations,
        tried=st.sets(st.sampled_from(SERVERS), max_size=2),
        client=st.sampled_from(CLIENTS),
    )
    def an_allocation_begins(
        self, tried: set[ServerId], client: Party | None
    ) -> Reservation | MultipleResults[Reservation]:
        candidates = [each for each in self.servers if each not in tried and self.room(each)]
        if not candidates:
            with pytest.raises(NoCapacity):
                self.core.reserve(self.now, tried)
            return multiple()
        best = min(map(self.rank, candidates))
        reserved = self.core.reserve(self.now, tried, client=client)
        assert reserved.server_id in candidates
        assert self.rank(reserved.server_id) == best
        assert reserved.job_id > self.last_id
        self.last_id = reserved.job_id
        self.jobs.append(Job(reserved.job_id, reserved.server_id, "reserved", self.now, client=client))
        return reserved

    @rule(
        target=assigned_jobs,
        client=st.sampled_from(CLIENTS),
        state=st.sampled_from([JobState.PENDING, JobState.READY]),
        count=st.integers(1, 4),
    )
    def jobs_are_given(self, client: Party | None, state: JobState, count: int) -> MultipleResults[Reservation]:
        """Nothing happens in between, as it is with build servers of ours."""
        given: list[Reservation] = []
        while len(given) < count and any(map(self.room, self.servers)):
            reserved = self.an_allocation_begins(set(), client)
            assert isinstance(reserved, Reservation)
            self.an_assignment_is_answered(reserved, state)
            given.append(reserved)
        return multiple(*given)

    @rule(target=assigned_jobs, reserved=consumes(reservations), state=st.sampled_from(JobState))
    def an_assignment_is_answered(self, reserved: Reservation, state: JobState) -> Reservation:
        job = self.job(reserved.job_id)
        if job is None:
            self.refused(UnknownServer, reserved, state)
        elif state in (JobState.PENDING, JobState.READY):
            self.core.confirm(reserved, assigned(state), self.now)
            self.move(job, state.name.lower())
            if reserved.presumed is None:
                self.servers[job.server_id].failed, self.servers[job.server_id].backoff = None, 0
        else:
            self.refused(BadTransition, reserved, state)
            self.core.release(reserved, self.now, failed=True)
            self.jobs.remove(job)
            self.blame(job)
        return reserved

    def refused(self, error: type[SccachedistError], reserved: Reservation, state: JobState) -> None:
        with pytest.raises(error):
            self.core.confirm(reserved, assigned(state), self.now)

    @rule(reserved=consumes(reservations), failed=st.booleans(), times=st.integers(1, 2))
    def an_allocation_ends_badly(self, reserved: Reservation, failed: bool, times: int) -> None:
        job = self.job(reserved.job_id)
        for _ in range(times):
            self.core.release(reserved, self.now, failed=failed)
        if job is not None:
            self.jobs.remove(job)
            if failed:
                self.blame(job)

    @rule(of=assigned_jobs, state=st.sampled_from(JobState))
    def a_report(self, of: Reservation, state: JobState) -> None:
        self.report(of.job_id, of.server_id, state)

    @rule(of=reservations, state=st.sampled_from(JobState))
    def a_report_before_its_time(self, of: Reservation, state: JobState) -> None:
        self.report(of.job_id, of.server_id, state)

    @rule(of=assigned_jobs | reservations, sender=st.sampled_from(SERVERS), state=st.sampled_from(JobState))
    def a_report_of_another_server(self, of: Reservation, sender: ServerId, state: JobState) -> None:
        self.report(of.job_id, sender, state)

    @rule(sender=st.sampled_from(SERVERS), state=st.sampled_from(JobState))
    def a_report_out_of_the_blue(self, sender: ServerId, state: JobState) -> None:
        self.report(JobId(FIRST_JOB - 1), sender, state)

    def report(self, job_id: JobId, server_id: ServerId, state: JobState) -> None:
        job = self.job(job_id)
        if job is None and (state is JobState.COMPLETE or job_id < FIRST_JOB):
            self.core.update(job_id, server_id, state, self.now)
        elif job is None or job.server_id != server_id:
            with pytest.raises(UnknownJob):
                self.core.update(job_id, server_id, state, self.now)
        else:
            self.own_report(job, state)

    def own_report(self, job: Job, state: JobState) -> None:
        where = state.name.lower()
        if job.where == "reserved" or where == "pending":
            with pytest.raises(BadTransition):
                self.core.update(job.job_id, job.server_id, state, self.now)
            return
        self.core.update(job.job_id, job.server_id, state, self.now)
        self.servers[job.server_id].seen = self.now
        if where == "complete":
            self.jobs.remove(job)
        elif LIFE.index(where) > LIFE.index(job.where):
            self.move(job, where)

    @rule(server_id=st.sampled_from(SERVERS))
    def a_server_is_forgiven(self, server_id: ServerId) -> None:
        """It is used like any other; nothing happens to its jobs."""
        assert self.core.interventions.forgive(server_id, self.now) == ()
        if (server := self.servers.get(server_id)) is not None:
            server.failed, server.backoff = None, 0

    @rule(server_id=st.sampled_from(SERVERS))
    def a_server_is_forgotten(self, server_id: ServerId) -> None:
        """It is dropped with its jobs."""
        self.core.interventions.forget_server(server_id, self.now)
        if server_id in self.servers:
            self.drop(server_id)

    @rule(of=assigned_jobs | reservations)
    def a_job_is_killed(self, of: Reservation) -> None:
        """Nothing is free by that: its build server is told so as long as the job is there."""
        self.core.interventions.kill(of.job_id)
        job, orders = self.job(of.job_id), self.core.interventions.orders(of.server_id, self.now)
        told = orders is not None and of.job_id in orders.kill
        assert told == (job is not None and job.server_id == of.server_id)

    @rule()
    def slots_are_lent(self) -> None:
        self.core.lend(self.now)
        self.lend()

    @rule()
    def a_look_at_the_clock(self) -> None:
        dropped = expired(self.core, self.now)
        silent = {
            each
            for each, server in self.servers.items()
            if self.now - server.seen > (6 * OURS_SECS if server.ours else 90)
        }
        for server_id in silent:
            self.drop(server_id)
        stale = [job for job in self.jobs if self.now - job.since > job.patience(self.servers[job.server_id].ours)]
        self.jobs = [job for job in self.jobs if job not in stale]
        self.lend()
        assert set(dropped.servers) == silent
        assert set(dropped.jobs) == {job.job_id for job in stale}

    @invariant()
    def the_status_is_right(self) -> None:
        status = self.core.status()
        assert status.num_servers == len(self.servers)
        assert status.num_cpus == sum(server.cpus for server in self.servers.values())
        assert status.in_progress == sum(job.where != "reserved" for job in self.jobs)

    @invariant()
    def the_events_are_right(self) -> None:
        """Who follows the events knows which servers live and which jobs there are, and sees no job end twice."""
        servers: set[ServerId] = set()
        jobs: set[JobId] = set()
        ended: set[JobId] = set()
        for event in self.core.told:
            match event:
                case ServerJoined(server_id=server_id):
                    servers.add(server_id)
                case ServerLeft(server_id=server_id):
                    servers.remove(server_id)
                case JobAllocated(job_id=job_id) | JobAdopted(job_id=job_id):
                    assert job_id not in jobs
                    jobs.add(job_id)
                    ended.discard(job_id)  # one that was dropped may be adopted
                case JobStarted(job_id=job_id) | SlotLent(job_id=job_id):
                    assert job_id in jobs
                case JobEnded(job_id=job_id):
                    assert job_id not in ended
                    assert list(event.began.values()) == sorted(event.began.values())
                    ended.add(job_id)
                    jobs.discard(job_id)
        assert servers == set(self.servers)
        assert jobs == {job.job_id for job in self.jobs if job.where != "reserved"}

    @invariant()
    def the_snapshot_is_right(self) -> None:
        seen = self.core.snapshot({}, self.now)
        assert {server.server_id: (server.taken, server.ours) for server in seen.servers} == {
            server_id: (self.taken(server_id), server.ours) for server_id, server in self.servers.items()
        }
        assert {(job.job_id, job.server_id, job.phase.name.lower(), job.client, job.lent) for job in seen.jobs} == {
            (job.job_id, job.server_id, job.where, job.client, job.lent) for job in self.jobs
        }
        assert all(server.avoided_secs <= MOST_SECS for server in seen.servers)

    @invariant()
    def servers_are_counted(self) -> None:
        """What is counted as build servers change is what a look at all of them gives."""
        fleet, afresh = self.core._fleet, ServerCounts()
        for server in fleet.servers():
            afresh.count(server, is_avoided=server.server_id in fleet._shunned)

        def told(counts: ServerCounts) -> tuple[object, ...]:
            return +counts.states, counts.open_slots, counts.published, counts.workers, counts._takers

        assert told(fleet.counts) == told(afresh)

    @invariant()
    def shares_are_right(self) -> None:
        """What clients hold is counted for jobs that are there, and below zero is nothing."""
        shares = self.core._slots._shares
        held = [job.hold.amount for job in self.core._jobs._jobs.values() if job.hold is not None]
        assert shares._of_known.used + shares._of_new.used == sum(held)
        assert self.core._slots._lent == sum(job.lent for job in self.jobs)
        assert all(job.is_unclaimed or not job.lent for job in self.core._jobs._jobs.values())

    @rule(client=st.sampled_from(CLIENTS[1:]))
    def nobody_waits_for_ever(self, client: Party) -> None:
        """A client that holds nothing may hold a slot as soon as others' slots were lent or used, whatever they did."""
        if self.servers and not any(job.where == "reserved" for job in self.jobs):
            self.now += 21  # the longest that a slot is held, uploads included
            self.core.lend(self.now)
            self.lend()
            assert self.core.may_hold_more(client, self.now) or any(job.lends_at < math.inf for job in self.jobs), (
                "what is still held is a published server's that has lent all it may"
            )

    @rule()
    def every_slot_is_there(self) -> None:
        assert free_slots(self.core, self.now) == sum(map(self.room, self.servers))


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=100, stateful_step_count=60)
