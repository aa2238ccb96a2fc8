"""Following a farm live, on real daemons: what one is told while a job runs, readers that do not read, and the end."""

import json
import select
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from signal import SIGTERM
from typing import Any

import attrs
import pytest

from farmkit.busybox_jobs import shell, write_inputs
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, adding
from tests.functional.conftest import running_farm, with_toolchain
from tests.scheduler.test_feed import follow, page_of
from tests.support.event_streams import read

pytestmark = pytest.mark.functional

#: Seconds that bytes may stand still on their way to a reader.
IDLE_SECS = 3
_SECS = 60


@attrs.define
class Follower:
    """One who follows, and what it knows."""

    answer: HTTPResponse
    page: dict[str, Any] = attrs.field(factory=dict)
    jobs: dict[str, list[str]] = attrs.field(factory=dict)

    def next_event(self) -> bool:
        """Read one event; False if there is no more."""
        octets = b""
        while not read(octets):  # what stands before the first event is none
            if not (line := self.answer.readline()):
                return False
            octets += line
        for name, data, _ in read(octets):
            told = json.loads(data)
            if name == "snapshot":
                self.page = page_of(told)
                continue
            follow(self.page, told)
            for row in told.get("started", []):
                self.jobs.setdefault(row["id"], []).append(row["phase"])
            for row in told.get("ended", {"jobs": []})["jobs"]:
                self.jobs.setdefault(row["id"], []).append(row["outcome"])
        return True

    def until(self, slots_used: int, job: str, word: str) -> None:
        """Read on until so many slots are taken, and something has been said of a job."""
        while not self.page or self.used != slots_used or word not in self.jobs.get(job, []):
            assert self.next_event()

    @property
    def used(self) -> int:
        """How many slots are taken."""
        used: int = self.page["farm"]["rates"]["slots_used"][0]
        return used


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A scheduler that soon gives up readers that do not read, and a build server."""
    scheduler = adding(OUR_SCHEDULER, limits=f"idle_secs = {IDLE_SECS}")
    yield from running_farm(Farm(tmp_path_factory.mktemp("farm"), scheduler))


def connect(farm: Farm) -> HTTPConnection:
    return HTTPConnection(farm.scheduler_host, farm.scheduler_port, _SECS)


def asked(farm: Farm) -> dict[str, str]:
    return {"Authorization": f"Bearer {farm.client_token}", "Accept": "text/event-stream"}


def following(farm: Farm, connection: HTTPConnection) -> Follower:
    connection.request("GET", "/api/v1/farm/events", headers=asked(farm))
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
    return Follower(answer)


def test_numbers_move(farm: Farm, tmp_path: Path) -> None:
    """One who follows sees a slot taken, the job in its phases, its end, and the slot free again."""
    with closing(connect(farm)) as connection:
        follower = following(farm, connection)
        assert follower.next_event()
        assert (follower.used, follower.page["servers"].keys()) == (0, {str(farm.server_id)})
        client, job = with_toolchain(farm, tmp_path)
        follower.until(1, str(job.job_id), "ready")
        client.run_job(job, shell("echo done > /out", "/out"), write_inputs(tmp_path / "inputs", {}))
        follower.until(0, str(job.job_id), "compiled")
        row = follower.page["servers"][str(farm.server_id)]
        while row["taken"] or not row["ended"]:
            assert follower.next_event()
            row = follower.page["servers"][str(farm.server_id)]


def test_does_not_read(farm: Farm) -> None:
    """One who does not read is given up, and only he: who reads a farm in which little happens is not late."""
    with closing(connect(farm)) as connection, socket.socket() as idle:
        follower = following(farm, connection)
        assert follower.next_event()
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        idle.connect((farm.scheduler_host, farm.scheduler_port))
        lines = (f"{name}: {value}" for name, value in asked(farm).items())
        idle.sendall("\r\n".join(["GET /api/v1/farm/events HTTP/1.1", *lines, "", ""]).encode())
        gone = select.poll()
        gone.register(idle, select.POLLHUP | select.POLLERR)
        assert gone.poll(1000 * _SECS)
        assert follower.next_event()
        assert f"limits.idle_secs: a connection closed that was streaming, {farm.scheduler_host}" in (
            farm.scheduler.log.read_text()
        )


def test_end(tmp_path: Path) -> None:
    """When the scheduler stops, who follows is told that there is no more, and the scheduler ends as ever."""
    farm = Farm(tmp_path)
    farm.start_scheduler()
    try:
        with closing(connect(farm)) as connection:
            follower = following(farm, connection)
            assert follower.next_event()
            farm.scheduler.process.terminate()
            while follower.next_event():
                pass
            assert farm.scheduler.process.wait(_SECS) == -SIGTERM
    finally:
        farm.stop()
