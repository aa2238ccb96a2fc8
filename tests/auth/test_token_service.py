"""Tokens that a service decides about: whom it lets in, and for how long its word is remembered."""

from ipaddress import ip_address

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from farmkit.deferreds import outcome
from farmkit.fakes import Requests
from sccachedist.auth import token_service as forwarded
from sccachedist.auth.token_service import REFUSED_SECS, ForwardedClientTokens
from sccachedist.budgets import Party
from sccachedist.errors import AuthUnavailable, ClientRefused

CACHE_SECS, MOST_CALLS = 30, 8


@attrs.define
class Service:
    """A service that answers when the test says so, and the scheduler's side of it."""

    cache_secs: float = CACHE_SECS
    clock: Clock = attrs.field(factory=Clock)
    asked: Requests[str, bool] = attrs.field(factory=Requests)
    tokens: ForwardedClientTokens = attrs.field(init=False)
    parties: list[Party] = attrs.field(factory=list)
    user: str = ""

    def __attrs_post_init__(self) -> None:
        knows = {"ann", "bob"}.__contains__
        self.tokens = ForwardedClientTokens(self, self.cache_secs, MOST_CALLS, self.clock.seconds, knows)

    async def user_of(self, token: str) -> str | None:
        return self.user if await self.asked.ask(token) else None

    def check(self, token: str | None, sender: str = "192.0.2.1") -> Deferred[None]:
        return Deferred.fromCoroutine(self.tokens.check(token, ip_address(sender))).addCallback(self.parties.append)

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
    service.clock.advance(REFUSED_SECS)
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


@pytest.mark.parametrize("cache_secs", [0, CACHE_SECS])
def test_the_service_names_them(cache_secs: float) -> None:
    """A client has the name that the service says, if it is one of the clients' file; it is cached with the answer."""
    service = Service(cache_secs)
    service.user = "ann"
    checked = [service.check("hunter2") for _ in range(2)]
    service.asked.answer("hunter2", True)
    assert [outcome(each) for each in checked] == [None, None]
    if cache_secs:
        assert service.known("hunter2")
    assert set(service.parties) == {"ann@192.0.2.1"}
    service.parties.clear()
    for service.user in ("mallory", "ann@10.0.0.7", "#0123456789abcdef", "_default", ""):
        assert service.decide(f"token of {service.user}", True) is None
        assert service.parties.pop().startswith("#")


def test_an_outage_is_not_remembered() -> None:
    """It is over as soon as the service answers."""
    service = Service()
    assert isinstance(service.decide("hunter2", AuthUnavailable("it does not answer")), AuthUnavailable)
    assert not service.known("hunter2")


def test_a_refusal_holds_for_a_moment() -> None:
    """A client that comes again and again with a wrong token is refused without a question; soon its token may be good.

    A good one that is taken back counts as long as its good answer holds.
    """
    service = Service()
    for _ in range(3):
        service.decide("hunter2", False)
        service.clock.advance(REFUSED_SECS - 0.1)
        assert isinstance(outcome(service.check("hunter2")), ClientRefused)
        service.clock.advance(0.1)
    assert service.decide("hunter2", True) is None
    service.clock.advance(CACHE_SECS)
    assert isinstance(service.decide("hunter2", False), ClientRefused)


def test_many_with_one_token() -> None:
    """Clients that come at once with the same token are one question, and one answer."""
    service = Service()
    checked = [service.check("hunter2", sender) for sender in ("192.0.2.1", "192.0.2.2", "192.0.2.2")]
    service.asked.answer("hunter2", True)
    assert [outcome(each) for each in checked] == [None] * 3
    assert service.asked.waiting == []
    assert len(set(service.parties)) == 2


def test_strangers() -> None:
    """One sender causes half of the calls at most, all strangers so many; who comes then compiles locally."""
    service = Service()
    tokens = iter(range(1000))
    for sender, calls in (("192.0.2.1", 4), ("192.0.2.2", 2), ("2001:db8::1", 1), ("2001:db8::2", 0), ("192.0.2.3", 1)):
        before = len(service.asked.waiting)
        checked = [service.check(f"forged {next(tokens)}", sender) for _ in range(6)]
        assert len(service.asked.waiting) - before == calls
        assert all(isinstance(outcome(each), AuthUnavailable) for each in checked[calls:])
    assert isinstance(outcome(service.check("new", "192.0.2.9")), AuthUnavailable)
    for forged in tuple(service.asked.waiting):
        service.asked.answer(forged, False)
    assert service.decide("new", True) is None


def test_strangers_keep_nobody_out() -> None:
    """A token that was good has calls of its own, however many strangers have the service asked."""
    service = Service(cache_secs=0)
    assert service.decide("hunter2", True) is None
    for number in range(100):
        service.check(f"forged {number}", f"192.0.2.{number}").addErrback(lambda _: None)
    assert len(service.asked.waiting) == MOST_CALLS
    assert service.decide("hunter2", True) is None
    assert isinstance(service.decide("hunter2", False), ClientRefused)
    service.clock.advance(REFUSED_SECS)
    assert isinstance(outcome(service.check("hunter2")), AuthUnavailable), "it is a stranger's again"


def test_a_client_that_goes_away() -> None:
    """Its question counts until it is answered."""
    service = Service()
    gone = [service.check(f"forged {number}") for number in range(4)]
    for each in gone:
        each.addErrback(lambda _: None)
        each.cancel()
    assert isinstance(outcome(service.check("new")), AuthUnavailable)
    service.asked.answer("forged 0", False)
    assert service.decide("new", True) is None


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
    assert token not in repr(vars(service.tokens)) + repr(service.parties)
