"""The bytes of a heartbeat that is kept: who can read them, and who can make them."""

import attrs
import pytest

from sccachedist.errors import DecodeError
from sccachedist.scheduler.sealed_heartbeats import LastHeartbeat, sealed, unsealed, without_jobs
from sccachedist.wire.extension import Availability, Health, ServerReport
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.messages import JobId, JobState
from tests.scheduler.farms import CLANG, GCC, A, B, heartbeat

SECRET, OTHER = b"a secret", b"another one"
HOST = HostFacts("host-1", 62, 1000, uploads=((GCC, 5),), sizes=(7,))
REPORT = ServerReport(
    9, 5, Availability.OPEN, ((JobId(1), JobState.STARTED),), (GCC,), (CLANG,), 3, 4, Health("", 8, 1), "1.2", 80, HOST
)
PUBLISHED = LastHeartbeat(heartbeat(job_key=b"the key of its jobs"), None, 1_800_000_000.25)


def test_a_published_server() -> None:
    """What is written is what is read, with the secret that was current then, also if that is so no longer."""
    octets = sealed(A, PUBLISHED, SECRET)
    assert unsealed(A, octets, [SECRET]) == PUBLISHED
    assert unsealed(A, octets, [OTHER, SECRET]) == PUBLISHED
    assert b"the key of its jobs" not in octets
    assert sealed(A, PUBLISHED, SECRET) != octets


@pytest.mark.parametrize("host", [HOST, None])
def test_ours(host: HostFacts | None) -> None:
    """Of its report, what it would not tell again anyway is kept."""
    kept = without_jobs(attrs.evolve(REPORT, host=host))
    said = LastHeartbeat(heartbeat(), kept, 5.0)
    assert unsealed(A, sealed(A, said, SECRET), [SECRET]) == said
    assert (kept.jobs, kept.toolchains, kept.gone, kept.since, kept.until) == ((), (), (), 1, 1)
    assert (kept.number, kept.health, kept.version) == (9, REPORT.health, "1.2")
    assert kept.host == (None if host is None else attrs.evolve(host, uploads=(), sizes=()))


def test_what_is_not_believed() -> None:
    """Another secret, another address, one changed bit, less, more, or something else."""
    octets = sealed(A, PUBLISHED, SECRET)
    changed = bytearray(octets)
    changed[-1] ^= 1
    for server_id, given in ((B, octets), (A, bytes(changed)), (A, octets[:-1]), (A, octets + b"\0"), (A, octets[:30])):
        with pytest.raises(DecodeError, match="it was not kept with a secret of server_auth"):
            unsealed(server_id, given, [SECRET])
    with pytest.raises(DecodeError, match="not kept with a secret"):
        unsealed(A, octets, [OTHER])
    for given in (b"", b"\0" * 500, octets[1:]):
        with pytest.raises(DecodeError, match="it is no heartbeat, or of a later release"):
            unsealed(A, given, [SECRET])


def test_a_clock_that_was_never_set() -> None:
    """A time before 1970 is as good as its first second."""
    octets = sealed(A, LastHeartbeat(heartbeat(), None, -3.0), SECRET)
    assert unsealed(A, octets, [SECRET]).heard == 0.0
