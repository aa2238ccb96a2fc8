"""Two schedulers on a network in memory."""

import attrs
import pytest

from farmkit.memory_http import Answer, Connection, bearer, request
from sccachedist.cluster.leadership import Following, Leading
from sccachedist.scheduler import service
from sccachedist.wire.messages import SCHEDULER_STATUS
from tests.cluster.farm import Network, Scheduler, Settled
from tests.support.exchanges import exchange

STATUS = request("GET", "/api/v1/scheduler/status")
HEARTBEAT, ALLOC = exchange(16), exchange(15)
#: Of the build server of that heartbeat.
SLOTS = 3


@attrs.frozen
class Pair:
    """Two schedulers, of which the first one leads."""

    network: Network
    leader: Scheduler
    follower: Scheduler

    def say(self, scheduler: Scheduler, octets: bytes, sender: str = "127.0.0.1") -> Connection:
        """Begin to ask a scheduler, as far as that needs no time."""
        connection = scheduler.browser.connect(sender)
        connection.say(octets)
        self.network.turn()
        return connection

    def ask(self, scheduler: Scheduler, octets: bytes, sender: str = "127.0.0.1") -> Answer:
        """The answer, which needs no time."""
        (answer,) = self.say(scheduler, octets, sender).answers()
        return answer

    def servers(self, scheduler: Scheduler) -> int:
        """How many build servers there are, as it says."""
        return int(self.ask(scheduler, STATUS).message(SCHEDULER_STATUS).num_servers)

    def waiting(self, scheduler: Scheduler, at: Scheduler) -> Connection:
        """A client that waits for a slot, all of which are taken there."""
        self.ask(at, HEARTBEAT.asked())
        self.network.silent.add(11502)  # the build server, when it is asked about a job
        for _ in range(SLOTS):
            self.say(at, ALLOC.asked())
        return self.say(scheduler, ALLOC.asked())

    def swap(self) -> None:
        """The follower leads, and the leader follows."""
        self.follower.leads()
        self.leader.follows(self.follower)
        self.network.turn()


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.setattr(service, "check_address", lambda *_: None)
    network = Network()
    leader = Scheduler(network, 10600, Settled(Leading(1)))
    return Pair(network, leader, Scheduler(network, 10601, Settled(Following(leader.candidate))))


def admin(path: str, body: bytes) -> bytes:
    """What an administrator asks."""
    return request("POST", path, body, {**bearer("admintok"), "Content-Type": "application/json"})
