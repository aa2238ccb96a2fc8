"""What a heartbeat says is never more than a scheduler takes."""

from pathlib import Path

import attrs
import pytest

from sccachedist.config import ServerLimits
from sccachedist.server.announcement import announcement
from sccachedist.server.scheduler_session import Incarnation
from sccachedist.server.tls import ShownIdentity
from sccachedist.wire.abilities import Abilities
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.extension import EXTENDED_HEARTBEAT, MOST_JOBS, ServerReport
from sccachedist.wire.host_facts import HostFacts
from sccachedist.wire.machines import UNKNOWN
from sccachedist.wire.messages import Heartbeat, JobId, JobState
from tests.server.servers import Host
from tests.toolchains.test_changes import here

TOOLCHAINS = [ArchiveId(f"{number:064x}") for number in range(50)]
HOST = HostFacts("build17", load=1500, uploads=((TOOLCHAINS[0], 5),))
ABLE = Abilities(True, (62, 3), ("fast",))
JOBS = [JobId(number) for number in range(MOST_JOBS + 2)]


@pytest.fixture
def said(tmp_path: Path) -> Heartbeat:
    return tell(tmp_path, ServerLimits())[0]


def tell(place: Path, limits: ServerLimits, jobs: int = 0, room: int = 1 << 20) -> tuple[Heartbeat, ServerReport]:
    """Say what there is: 50 toolchains, and so many jobs, of which the last one has started."""
    identity = ShownIdentity(place / "identity", ServerId.parse("127.0.0.1:1"))
    identity.load()
    host = Host(place)
    for job in JOBS[:jobs]:
        host.core.assign(job, TOOLCHAINS[0], present=job == jobs - 1, now=0.0)
        (host.core.claim if job == jobs - 1 else host.core.begin_upload)(job, 0.0)
    return announcement(identity, host.server, here(*TOOLCHAINS).log, Incarnation(), 2, limits, 5, room, HOST, ABLE)


def size(said: tuple[Heartbeat, ServerReport]) -> int:
    return len(encode(EXTENDED_HEARTBEAT, said))


def test_all_of_it(tmp_path: Path) -> None:
    """Where there is room, all is told."""
    _, report = tell(tmp_path, ServerLimits(), 3)
    assert report.toolchains == tuple(reversed(TOOLCHAINS))
    assert [state for _, state in report.jobs] == [JobState.PENDING, JobState.PENDING, JobState.STARTED]
    assert report.host == attrs.evolve(HOST, sizes=(1,) * 50)
    assert report.abilities == attrs.evolve(ABLE, built_for=(UNKNOWN,) * 50)


def test_toolchains_wait(tmp_path: Path, said: Heartbeat) -> None:
    """Those that do not fit are told later, whatever leaves no room for them: the message or its sender's patience."""
    plain = size((said, tell(tmp_path, ServerLimits(), 3, room=0)[1]))
    for limits, room in ((ServerLimits(heartbeat_bytes=plain + 90), 1 << 20), (ServerLimits(), 90)):
        heartbeat, report = tell(tmp_path, limits, 3, room)
        assert (report.toolchains, report.since, len(report.jobs)) == ((TOOLCHAINS[-1],), 0, 3)
        assert size((heartbeat, report)) <= plain + 82


def test_jobs_that_have_started_come_first(tmp_path: Path, said: Heartbeat) -> None:
    """With more jobs than fit, those are named that a scheduler must not take for lost, and the heartbeat is sent."""
    most = size((said, tell(tmp_path, ServerLimits(), 1, room=0)[1])) + 30
    heartbeat, report = tell(tmp_path, ServerLimits(heartbeat_bytes=most), 500)
    assert size((heartbeat, report)) <= most
    assert (report.jobs[0], report.toolchains) == ((JOBS[499], JobState.STARTED), ())
    assert len(report.jobs) == 3


def test_more_jobs_than_a_scheduler_reads(tmp_path: Path) -> None:
    """A scheduler refuses a heartbeat with too many: those that have started are named, and the heartbeat is taken."""
    said = tell(tmp_path, ServerLimits(), len(JOBS))
    assert decode(EXTENDED_HEARTBEAT, encode(EXTENDED_HEARTBEAT, said)) == said
    assert (len(said[1].jobs), said[1].jobs[0]) == (MOST_JOBS, (JOBS[-1], JobState.STARTED))
