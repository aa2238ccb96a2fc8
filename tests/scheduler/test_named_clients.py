"""What a client with a name meets at the scheduler, from bytes to bytes."""

import pytest

from farmkit.memory_http import bearer
from sccachedist.auth.clients import SharedClientToken, digest_of
from sccachedist.auth.named_clients import NamedClientTokens
from sccachedist.auth.roster import Roster
from sccachedist.config import ClientSettings, TokenSettings
from sccachedist.outcomes import Refusal
from sccachedist.scheduler.events import Event, JobAllocated, RequestRefused
from sccachedist.wire.messages import ALLOC_JOB_RESPONSE, AllocJobFail, AllocJobSuccess
from tests.scheduler.test_routes import PENDING, SERVER, Scheduler
from tests.support.exchanges import exchange

ENDED_AT = 86_400.0
CLIENTS = {
    "ann": ClientSettings(tokens=(TokenSettings(digest_of("old"), until=ENDED_AT), TokenSettings(digest_of("new"))))
}


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def farm(told: list[Event]) -> Scheduler:
    """A scheduler on the day after a token of ``ann`` has ended, and a build server."""
    clients = NamedClientTokens(Roster(CLIENTS), SharedClientToken("clienttok"), lambda: ENDED_AT)
    farm = Scheduler(clients=clients, observers=[told.append])
    farm.ask(16)
    return farm


def asked(token: str) -> bytes:
    return exchange(15).asked(bearer(token))


def test_a_good_token(farm: Scheduler, told: list[Event]) -> None:
    """Its job is the client's."""
    connection = farm.browser.connect()
    connection.say(asked("new"))
    farm.servers.assignments.answer(SERVER, PENDING)
    (answer,) = connection.answers()
    assert isinstance(answer.message(ALLOC_JOB_RESPONSE), AllocJobSuccess)
    (allocated,) = (event for event in told if isinstance(event, JobAllocated))
    assert allocated.client == "ann@127.0.0.1"


def test_an_ended_token(farm: Scheduler, told: list[Event]) -> None:
    """Its client is told to compile locally: no status of an error, which would fail the build."""
    answer = farm.browser.ask(asked("old"))
    said = answer.message(ALLOC_JOB_RESPONSE)
    assert (answer.status, type(said)) == (200, AllocJobFail)
    assert said.msg == "the token of ann ended on 1970-01-02: ask an administrator of this farm for a new one"
    (refused,) = (event for event in told if isinstance(event, RequestRefused))
    assert (refused.refusal, refused.client, refused.detail) == (Refusal.TOKEN_ENDED, "ann@127.0.0.1", said.msg)


def test_a_revoked_token(farm: Scheduler) -> None:
    """It is as any wrong one, and the text says what to do: sccache shows it."""
    answer = farm.browser.ask(asked("revoked"))
    assert answer.status == 401
    assert b"sccache --stop-server" in answer.body
