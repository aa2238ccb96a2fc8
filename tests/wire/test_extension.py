"""What our own daemons add to the protocol's messages, and that published ones do not mind."""

import attrs
import pytest

from sccachedist.errors import DecodeError
from sccachedist.server.scheduler_session import ANSWER_BYTES
from sccachedist.wire.abilities import (
    ABILITIES,
    MOST_LABELS,
    MOST_MACHINES,
    Abilities,
    GatewayFacts,
    ObjectStoreFacts,
    Offer,
)
from sccachedist.wire.bincode import TEXT, U64, decode, encode
from sccachedist.wire.extension import (
    EXTENDED_HEARTBEAT,
    EXTENDED_HEARTBEAT_RESULT,
    JOB_STATES,
    MOST_FORGOTTEN,
    MOST_KILLED,
    SCHEDULER_REPORT,
    SERVER_REPORT,
    Availability,
    Health,
    JobStates,
    Orders,
    SchedulerReport,
    ServerReport,
)
from sccachedist.wire.host_facts import HOST_FACTS, MOST_UPLOADS, HostFacts
from sccachedist.wire.messages import HEARTBEAT, HEARTBEAT_RESULT, Heartbeat, HeartbeatResult, JobId, JobState

HEARD = Heartbeat(b"job key", 2, 1, b"digest", b"certificate")
HEALTH = Health("no room", ended=9, sent_home=2)
REPORT = ServerReport(
    3, 5, Availability.DRAINING, ((JobId(7), JobState.STARTED),), ("0c" * 32,), ("0d" * 32,), 3, 5, HEALTH
)
EARLIER = attrs.evolve(REPORT, health=None)
HOST = HostFacts("build17", 62, 1500, 7, 9, None, 4, (("0e" * 32, 5),), (31,))
OF_A_PROGRAM = attrs.evolve(REPORT, version="0.1", metrics_port=10502)
OF_A_HOST = attrs.evolve(OF_A_PROGRAM, host=HOST)
ABLE = Abilities(True, (62, 3), ("fast", "gpu"), (183,))
OF_THE_ABLE = attrs.evolve(OF_A_HOST, abilities=ABLE)
STORING = attrs.evolve(ABLE, store=ObjectStoreFacts("https://o/", "full"))
WITH_A_STORE = attrs.evolve(OF_A_HOST, abilities=STORING)
WITH_AN_OFFER = attrs.evolve(WITH_A_STORE, abilities=attrs.evolve(STORING, offer=Offer(3, "busy")))
WITH_WORKERS = attrs.evolve(OF_A_HOST, abilities=attrs.evolve(ABLE, gateway=GatewayFacts(3, 24)))


def test_extended() -> None:
    """A heartbeat with a report comes through whole, and is a plain one to a program that does not know of reports."""
    octets = encode(EXTENDED_HEARTBEAT, (HEARD, REPORT))
    assert decode(EXTENDED_HEARTBEAT, octets) == (HEARD, REPORT)
    assert decode(HEARTBEAT, octets) == HEARD
    assert octets.startswith(encode(HEARTBEAT, HEARD))


@pytest.mark.parametrize("behind", [b"", b"\0", b"sccachedist 2\n and more", b"sccachedist 1"])
def test_not_extended(behind: bytes) -> None:
    """What stands behind a message and is not ours is passed over."""
    assert decode(EXTENDED_HEARTBEAT, encode(HEARTBEAT, HEARD) + behind) == (HEARD, None)
    assert encode(EXTENDED_HEARTBEAT, (HEARD, None)) == encode(HEARTBEAT, HEARD)


def test_newer() -> None:
    """A report may grow at its end."""
    for report in (WITH_WORKERS, WITH_AN_OFFER, WITH_A_STORE, OF_THE_ABLE, OF_A_HOST, OF_A_PROGRAM, REPORT, EARLIER):
        octets = encode(EXTENDED_HEARTBEAT, (HEARD, report))
        assert decode(EXTENDED_HEARTBEAT, octets + b"what a later release says") == (HEARD, report)


def test_what_program_it_is() -> None:
    """It stands behind all that servers of earlier releases say, and schedulers of earlier releases know."""
    octets, plain, mark = encode(SERVER_REPORT, OF_A_PROGRAM), encode(SERVER_REPORT, REPORT), b"sccachedist 4\n"
    assert octets == plain + mark + encode(TEXT, "0.1") + (10502).to_bytes(2, "little")
    for end in range(len(plain), len(plain + mark)):
        assert decode(SERVER_REPORT, octets[:end]) == REPORT


def test_its_host() -> None:
    """It stands behind the program: an earlier scheduler reads all that is before it, and cut off it is an error."""
    octets, plain, mark = encode(SERVER_REPORT, OF_A_HOST), encode(SERVER_REPORT, OF_A_PROGRAM), b"sccachedist 5\n"
    assert octets == plain + mark + encode(HOST_FACTS, HOST)
    assert decode(SERVER_REPORT, octets) == OF_A_HOST
    for end in range(len(plain), len(plain + mark)):
        assert decode(SERVER_REPORT, octets[:end]) == OF_A_PROGRAM
    for end in range(len(plain + mark), len(octets)):
        with pytest.raises(DecodeError):
            decode(SERVER_REPORT, octets[:end])


def test_its_abilities() -> None:
    """They stand behind the host: an earlier scheduler reads all that is before them, and cut off they are an error."""
    octets, plain, mark = encode(SERVER_REPORT, OF_THE_ABLE), encode(SERVER_REPORT, OF_A_HOST), b"sccachedist 7\n"
    assert octets == plain + mark + encode(ABILITIES, ABLE)
    for end in range(len(plain), len(plain + mark)):
        assert decode(SERVER_REPORT, octets[:end]) == OF_A_HOST
    for end in range(len(plain + mark), len(octets)):
        with pytest.raises(DecodeError):
            decode(SERVER_REPORT, octets[:end])
    assert encode(SERVER_REPORT, attrs.evolve(OF_A_PROGRAM, abilities=ABLE)) == encode(SERVER_REPORT, OF_A_PROGRAM)


def test_its_object_store() -> None:
    """It stands behind the abilities: an earlier scheduler reads all that is before it, and cut off it is an error."""
    octets, plain, mark = encode(SERVER_REPORT, WITH_A_STORE), encode(SERVER_REPORT, OF_THE_ABLE), b"sccachedist 8\n"
    assert octets == plain + mark + encode(TEXT, "https://o/") + encode(TEXT, "full")
    for end in range(len(plain), len(plain + mark)):
        assert decode(SERVER_REPORT, octets[:end]) == OF_THE_ABLE
    for end in range(len(plain + mark), len(octets)):
        with pytest.raises(DecodeError):
            decode(SERVER_REPORT, octets[:end])


def test_its_workers() -> None:
    """They stand behind the object store, also if there is none."""
    octets, plain = encode(SERVER_REPORT, WITH_WORKERS), encode(SERVER_REPORT, OF_THE_ABLE)
    assert octets == plain + b"sccachedist 8\n" + bytes(16) + b"sccachedist 9\n" + encode(U64, 3) + encode(U64, 24)
    assert decode(SERVER_REPORT, octets) == WITH_WORKERS
    able = attrs.evolve(ABLE, store=ObjectStoreFacts("https://o/", "full"), gateway=GatewayFacts(0, 0))
    both = attrs.evolve(OF_A_HOST, abilities=able)
    octets, plain = encode(SERVER_REPORT, both), encode(SERVER_REPORT, WITH_A_STORE)
    assert octets.startswith(plain)
    assert decode(SERVER_REPORT, octets) == both
    for end in range(len(plain) + 14, len(octets)):
        with pytest.raises(DecodeError):
            decode(SERVER_REPORT, octets[:end])


def test_what_a_gateway_offers() -> None:
    """It stands behind its workers; who knows no such mark reads these."""
    octets, mark = encode(SERVER_REPORT, WITH_WORKERS), b"sccachedist 10\n"
    busy = attrs.evolve(
        OF_A_HOST, abilities=attrs.evolve(ABLE, gateway=GatewayFacts(3, 24), offer=Offer(0, "no_worker"))
    )
    assert encode(SERVER_REPORT, busy) == octets + mark + bytes(8) + encode(TEXT, "no_worker")
    assert decode(SERVER_REPORT, encode(SERVER_REPORT, busy)) == busy
    assert decode(SERVER_REPORT, octets + b"sccachedist 99\n") == WITH_WORKERS


def test_what_it_offers() -> None:
    """It stands behind the object store, which has no name if there is none."""
    octets, plain, mark = encode(SERVER_REPORT, WITH_AN_OFFER), encode(SERVER_REPORT, WITH_A_STORE), b"sccachedist 10\n"
    assert octets == plain + mark + (3).to_bytes(8, "little") + encode(TEXT, "busy")
    for end in range(len(plain), len(plain + mark)):
        assert decode(SERVER_REPORT, octets[:end]) == WITH_A_STORE
    for end in range(len(plain + mark), len(octets)):
        with pytest.raises(DecodeError):
            decode(SERVER_REPORT, octets[:end])
    alone = attrs.evolve(ABLE, offer=Offer(0, "no_memory"))
    assert decode(ABILITIES, encode(ABILITIES, alone)) == alone


@pytest.mark.parametrize(
    "many", [Abilities(machines=(62,) * (MOST_MACHINES + 1)), Abilities(labels=("a",) * (MOST_LABELS + 1))]
)
def test_many_abilities(many: Abilities) -> None:
    """More than may be told are an error."""
    with pytest.raises(DecodeError, match="the most"):
        decode(ABILITIES, encode(ABILITIES, many))


def test_a_host_alone() -> None:
    """A server may tell nothing of its program; without its health, it tells nothing of its host either."""
    report = attrs.evolve(REPORT, host=HOST)
    assert decode(SERVER_REPORT, encode(SERVER_REPORT, report)) == report
    assert encode(SERVER_REPORT, attrs.evolve(EARLIER, host=HOST)) == encode(SERVER_REPORT, EARLIER)


def test_many_uploads() -> None:
    """More uploads than may be told are an error, before they take memory."""
    host = HostFacts(uploads=(("0e" * 32, 5),) * (MOST_UPLOADS + 1))
    with pytest.raises(DecodeError, match="the most"):
        decode(HOST_FACTS, encode(HOST_FACTS, host))


@pytest.mark.parametrize(("machine", "name"), [(0, None), (62, "x86_64"), (183, "aarch64"), (9999, "ELF 9999")])
def test_machines(machine: int, name: str | None) -> None:
    """A machine has the word of uname, if it is one of those that farms have."""
    assert HostFacts(machine=machine).machine_name == name
    assert HOST_FACTS.to_json(HostFacts("build17")) == {"name": "build17"}


def test_json() -> None:
    """JSON shows the published part of a heartbeat, and a report by itself without the server's health."""
    assert EXTENDED_HEARTBEAT.to_json((HEARD, REPORT)) == HEARTBEAT.to_json(HEARD)
    assert SERVER_REPORT.to_json(REPORT) == SERVER_REPORT.to_json(EARLIER)
    assert ABILITIES.to_json(attrs.evolve(ABLE, store=ObjectStoreFacts("https://o/"))) == ABILITIES.to_json(ABLE)


def test_cut_off() -> None:
    """A report that is cut off anywhere is an error, not half a report; one without the server's health is whole."""
    octets = encode(EXTENDED_HEARTBEAT, (HEARD, REPORT))
    mark = len(encode(HEARTBEAT, HEARD)) + len(b"sccachedist 1\n")
    health = len(encode(EXTENDED_HEARTBEAT, (HEARD, EARLIER)))
    for end in range(health, health + len(b"sccachedist 2\n")):
        assert decode(EXTENDED_HEARTBEAT, octets[:end]) == (HEARD, EARLIER)
    for end in (*range(mark, health), *range(health + len(b"sccachedist 2\n"), len(octets))):
        with pytest.raises(DecodeError):
            decode(EXTENDED_HEARTBEAT, octets[:end])


def test_answer() -> None:
    """The answer to a heartbeat likewise; JSON shows the published part."""
    answer = HeartbeatResult(is_new=True), SchedulerReport(unclaimed=2, heartbeat_secs=12, told=9)
    octets = encode(EXTENDED_HEARTBEAT_RESULT, answer)
    assert decode(EXTENDED_HEARTBEAT_RESULT, octets) == answer
    assert decode(HEARTBEAT_RESULT, octets) == answer[0]
    assert EXTENDED_HEARTBEAT_RESULT.to_json(answer) == {"is_new": True}


def test_job_states() -> None:
    """Many states in one message."""
    said = JobStates(1, 2, ((JobId(7), JobState.READY), (JobId(8), JobState.COMPLETE)))
    assert decode(JOB_STATES, encode(JOB_STATES, said)) == said


def test_summaries_of_jobs() -> None:
    """They stand behind the states, where an earlier release does not look."""
    states = JobStates(1, 2, ((JobId(7), JobState.COMPLETE),))
    said = attrs.evolve(states, summaries=((JobId(7), b"packed"),))
    octets = encode(JOB_STATES, said)
    assert decode(JOB_STATES, octets) == said
    assert octets.startswith(encode(JOB_STATES, states) + b"sccachedist 3\n")
    assert JOB_STATES.to_json(said) == JOB_STATES.to_json(states)


def test_orders() -> None:
    """They stand behind a scheduler's report, where an earlier release does not look; few fit into an answer."""
    plain = SchedulerReport(1, 2, 3, 4)
    ordering = attrs.evolve(plain, orders=Orders((JobId(7), JobId(8)), ("0c" * 32,)))
    octets, before = (
        encode(EXTENDED_HEARTBEAT_RESULT, (HeartbeatResult(False), report)) for report in (ordering, plain)
    )
    assert octets.startswith(before + b"sccachedist 6\n")
    assert SCHEDULER_REPORT.to_json(ordering) == SCHEDULER_REPORT.to_json(plain)
    assert decode(EXTENDED_HEARTBEAT_RESULT, octets) == (HeartbeatResult(False), ordering)
    assert decode(EXTENDED_HEARTBEAT_RESULT, before + b"sccachedist 7\n") == (HeartbeatResult(False), plain)
    assert decode(HEARTBEAT_RESULT, octets) == HeartbeatResult(False)
    for cut in range(len(before) + len(b"sccachedist 6\n"), len(octets)):
        with pytest.raises(DecodeError):
            decode(EXTENDED_HEARTBEAT_RESULT, octets[:cut])
    many = attrs.evolve(plain, orders=Orders((JobId(7),) * (MOST_KILLED + 1), ()))
    with pytest.raises(DecodeError):
        decode(EXTENDED_HEARTBEAT_RESULT, encode(EXTENDED_HEARTBEAT_RESULT, (HeartbeatResult(False), many)))
    most = attrs.evolve(plain, orders=Orders((JobId(7),) * MOST_KILLED, ("0c" * 64,) * MOST_FORGOTTEN))
    assert len(encode(EXTENDED_HEARTBEAT_RESULT, (HeartbeatResult(False), most))) < ANSWER_BYTES
