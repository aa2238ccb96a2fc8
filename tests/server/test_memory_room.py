"""For how many jobs there is memory."""

import pytest

from sccachedist.server.memory_room import (
    FORGET_SECS,
    LEAST_JOBS,
    LOOKS,
    MOST_JOBS,
    PRESUMED_BYTES,
    JobMemory,
    MemoryRoom,
)

MIB, GIB = 1 << 20, 1 << 30


def room_of(*peaks: int, reserve: int = 0) -> MemoryRoom:
    """One that has seen jobs."""
    room = MemoryRoom(reserve)
    for peak in peaks:
        room.ended(peak)
    return room


def jobs(
    room: MemoryRoom, free: int | None, held: int | None = 0, running: int = 0, *, is_pressed: bool = False
) -> int:
    """For how many there is memory when it has been so for some looks."""
    seen = [room.looked(JobMemory(free, held, running, is_pressed), 16, 0.0) for _ in range(LOOKS)]
    return seen[-1]


@pytest.mark.parametrize(("free", "many"), [(0, 0), (MIB, 1), (GIB, 1), (3 * GIB + 5, 3), (100 * GIB, 16)])
def test_nothing_is_known_of_jobs(free: int, many: int) -> None:
    """Each is expected to be a large one; but a first one is taken, for else nothing would ever be known."""
    assert jobs(MemoryRoom(0), free) == many
    assert jobs(MemoryRoom(reserve=7 * GIB), free + 7 * GIB) == many


def test_what_jobs_take() -> None:
    """After a few jobs, as many are taken as there is memory for; the number of any that is not known says nothing."""
    few, more = [100 * MIB] * (LEAST_JOBS - 1), [100 * MIB] * LEAST_JOBS
    assert jobs(room_of(*few), GIB) == 1
    assert jobs(room_of(*more, 0), GIB) == 10
    assert jobs(room_of(*[2 * GIB] * (LEAST_JOBS - 1)), 6 * GIB) == 3, "large ones are believed at once"


def test_one_is_large() -> None:
    """There is memory for one more like that beside ordinary ones."""
    room = room_of(*[100 * MIB] * 99, 4 * GIB)
    assert jobs(room, 4 * GIB + 500 * MIB) == 6
    assert jobs(room, 4 * GIB - 1) == 1, "it may be an ordinary one"
    assert jobs(room, 100 * MIB - 1) == 0


def test_it_is_forgotten() -> None:
    """Only the latest count."""
    assert jobs(room_of(4 * GIB, *[100 * MIB] * MOST_JOBS), GIB) == 10


def test_jobs_that_run() -> None:
    """What they will still take is not given to others; what they have counts for them."""
    room = room_of(*[GIB] * LEAST_JOBS)
    assert jobs(room, 4 * GIB, held=0, running=3) == 4
    assert jobs(room, 2 * GIB, held=2 * GIB, running=3) == 4
    assert jobs(room, 2 * GIB, held=9 * GIB, running=3) == 5, "they are larger than expected, and have it by now"
    assert jobs(room, 0, held=0, running=3) == 3, "none more; those that run are not the question"


@pytest.mark.parametrize("running", range(1, 4))
def test_a_job_that_runs_takes_no_room_twice(running: int) -> None:
    """While jobs grow, the number of those that there is memory for stays the same."""
    room = room_of(*[GIB] * LEAST_JOBS)
    for tenths in range(11):
        held = running * GIB * tenths // 10
        assert jobs(room, 3 * GIB + MIB - held, held, running) == 3


@pytest.mark.parametrize("each", [GIB // 10, GIB // 2, GIB, 2 * GIB])
def test_nobody_tells_what_jobs_have(each: int) -> None:
    """It is what is missing since none ran: then each is expected to take a GiB, be it there already or not."""
    room = MemoryRoom(GIB)
    assert jobs(room, 8 * GIB + 5, None) == 7
    assert jobs(room, 8 * GIB + 5 - 3 * each, None, 3) == (7 if each <= GIB else 4)
    assert jobs(room, 8 * GIB + 5, None, 3) == 7, "others have given some back"
    assert jobs(room, 5 * GIB + 5, None) == 4, "others have more: what is missing is none of the jobs'"
    assert jobs(room, 4 * GIB + 5, None, 1) == 4


def test_less_at_once_and_more_later() -> None:
    """A moment with more memory is not believed, one with less is."""
    room = room_of(*[GIB] * LEAST_JOBS)
    seen = [room.looked(JobMemory(free * GIB, 0, 0), 16, 0.0) for free in (2, 2, 2, 5, 1, 5, 5, 5)]
    assert seen == [2, 2, 2, 2, 1, 1, 1, 5]


def test_jobs_that_took_of_the_reserve() -> None:
    """There is never memory for one like that beside the reserve. After a while one is tried, and small ones come."""
    room = room_of(*[3 * GIB] * LEAST_JOBS, reserve=2 * GIB)
    seen = JobMemory(4 * GIB, 0, 0)
    assert {room.looked(seen, 16, now) for now in (0.0, 1.0, 2.0, FORGET_SECS - 1)} == {0}
    later = [room.looked(seen, 16, FORGET_SECS + second) for second in range(LOOKS + 1)]
    assert later[-1] == 2, "as if nothing were known of jobs"
    for _ in range(LEAST_JOBS):
        room.ended(100 * MIB)
    assert jobs(room, 4 * GIB) == 16


def test_none_is_tried_on_the_reserve() -> None:
    """Where there is nothing beside it, to wait does not help; and the wait begins again when there was memory."""
    room = room_of(*[3 * GIB] * LEAST_JOBS, reserve=2 * GIB)
    full, little, much = (JobMemory(free * GIB, 0, 0) for free in (2, 4, 9))
    assert {room.looked(full, 16, second * FORGET_SECS) for second in range(9)} == {0}
    room.looked(little, 16, 0.0)
    room.looked(much, 16, FORGET_SECS - 1)
    assert {room.looked(little, 16, FORGET_SECS + second) for second in range(LOOKS)} == {0}


def test_pressure() -> None:
    """While processes stand still for lack of memory, no more is taken than runs."""
    assert jobs(MemoryRoom(0), 100 * GIB, running=2, is_pressed=True) == 2


def test_nothing_is_known_of_the_host() -> None:
    """Then memory sets no limit."""
    assert jobs(MemoryRoom(0), None) == 16
    assert MemoryRoom(0).is_ample(None, 16)


def test_ample() -> None:
    """Where there is memory for all jobs that could run, none has to be looked at."""
    room = MemoryRoom(GIB)
    assert room.is_ample(GIB + 16 * PRESUMED_BYTES, 16)
    assert not room.is_ample(GIB + 16 * PRESUMED_BYTES - 1, 16)
    assert room.is_ample(GIB, 0)
