"""Tokens that a service decides about: whom it lets in, and for how long its word is remembered."""

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from sccachedist.auth import forwarded
from sccachedist.auth.forwarded import ForwardedClientTokens
from sccachedist.errors import AuthUnavailable, ClientRefused
from tests.support.ends import outcome
from tests.support.fakes import Requests

CACHE_SECS = 30


@attrs.define
class Service:
    """A service that answers when the test says so, and the scheduler's side of it."""

    cache_secs: float = CACHE_SECS
    clock: Clock = attrs.field(factory=Clock)
    asked: Requests[str, bool] = attrs.field(factory=Requests)
    tokens: ForwardedClientTokens = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tokens = ForwardedClientTokens(self, self.cache_secs, self.clock.seconds)

    async def accepts(self, token: str) -> bool:
        return await self.asked.ask(token)

    def check(self, token: str | None) -> Deferred[None]:
        return Deferred.fromCoroutine(self.tokens.check(token))

    def decide(self, token: str, answer: bool | Exception) -> object:
        """What a client meets whose token the service is asked about."""
        checked = self.check(token)
        self.asked.answer(token, answer)
        return outcome(checked)

    def known(self, token: str) -> bool:
        """Whether a client is let in without a question to the service."""
        checked = self.check(token)
        known = not self.asked.waiting
        if not known:
            self.asked.answer(token, AuthUnavailable("never mind"))
        assert (outcome(checked) is None) == known
        return known


def test_decided_by_the_service() -> None:
    """The service's word counts, also where it changes; one who shows no token is not asked about."""
    service = Service()
    refused = service.decide("hunter2", False)
    assert isinstance(refused, ClientRefused)
    assert refused.challenge == "bearer_auth_failed"
    assert service.decide("hunter2", True) is None
    without = outcome(service.check(None))
    assert isinstance(without, ClientRefused)
    assert without.challenge == "no_bearer_auth"


def test_remembered_for_a_while() -> None:
    """A good answer holds for as long as the configuration says, for this token and no other."""
    service = Service()
    assert service.decide("hunter2", True) is None
    service.clock.advance(CACHE_SECS - 1)
    assert service.known("hunter2")
    assert not service.known("hunter3")
    service.clock.advance(1)
    assert not service.known("hunter2")
    assert service.decide("hunter2", True) is None
    assert service.known("hunter2")


@pytest.mark.parametrize("answer", [False, AuthUnavailable("it does not answer")])
def test_only_good_answers_are_remembered(answer: bool | Exception) -> None:
    """A refusal or an outage is over as soon as the service says otherwise."""
    service = Service()
    assert isinstance(service.decide("hunter2", answer), AuthUnavailable | ClientRefused)
    assert not service.known("hunter2")


def test_asked_each_time() -> None:
    """Without ``cache_secs`` nothing is remembered."""
    service = Service(cache_secs=0)
    assert service.decide("hunter2", True) is None
    assert not service.known("hunter2")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many tokens those are forgotten that were shown to the service the longest time ago."""
    monkeypatch.setattr(forwarded, "MOST_REMEMBERED", 3)
    service = Service()
    for token in ("a", "b", "c"):
        service.decide(token, True)
    service.clock.advance(CACHE_SECS)
    service.decide("a", True)
    service.decide("d", True)
    assert [token for token in "abcd" if service.known(token)] == ["a", "d"]
    service.decide("e", True)
    service.decide("f", True)
    assert [token for token in "adef" if service.known(token)] == ["d", "e", "f"]


def test_tokens_are_not_kept() -> None:
    """What is remembered is not a token, so that none can get out of it."""
    service, token = Service(), "hunter2"
    service.decide(token, True)
    assert service.known(token)
    assert token not in repr(vars(service.tokens))
