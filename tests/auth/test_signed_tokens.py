"""Tokens that an identity provider signs: which keys count, which tokens are good, and when keys are fetched."""

import base64
import hashlib
import hmac
import json
import time
import traceback
from functools import cache
from ipaddress import ip_address
from typing import Any

import attrs
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from farmkit.deferreds import outcome, pending
from farmkit.fakes import Requests
from sccachedist.auth.jwks import REFETCH_SECS, RETRY_SECS, SigningKeys, read_keys
from sccachedist.auth.signed_tokens import LEEWAY_SECS, SignedClientTokens
from sccachedist.budgets import Party
from sccachedist.errors import AuthUnavailable, ClientRefused, DecodeError, PeerError

HOUR = 3600
GOOD = {"aud": "farm", "iss": "https://id.example/"}


@cache
def private(kid: str) -> Any:
    """The key that signs under a name; the names of those on an elliptic curve begin with ``ec``."""
    return ec.generate_private_key(ec.SECP256R1()) if kid.startswith("ec") else rsa.generate_private_key(65537, 2048)


def jwk(kid: str, /, *, secret: bool = False, **changes: Any) -> dict[str, Any]:
    """A key as a provider publishes it."""
    algorithm: Any = ECAlgorithm if kid.startswith("ec") else RSAAlgorithm
    key = private(kid) if secret else private(kid).public_key()
    return {"kid": kid, **algorithm.to_jwk(key, as_dict=True), **changes}


def key_set(*items: object) -> bytes:
    return json.dumps({"keys": items}).encode()


def token(kid: str = "a", algorithm: str = "RS256", *, named: str | None = None, **claims: Any) -> str:
    """A token, good for an hour where nothing else is said; a claim that is None is left out.

    :param named: the key that it names, if not the one that it is signed with.
    """
    said = {**GOOD, "exp": time.time() + HOUR, **claims}
    told = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(told, private(kid), algorithm, {"kid": named or kid})


def by_hand(header: Any, secret: bytes | None = None) -> str:
    """A token with any header, good but for its signature, which is an HMAC or nothing."""
    parts = [json.dumps(part).encode() for part in (header, {**GOOD, "exp": time.time() + HOUR})]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = b"" if secret is None else hmac.digest(secret, signed, hashlib.sha256)
    return f"{signed.decode()}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


SENDER = ip_address("192.0.2.1")


@attrs.define
class Provider:
    """An identity provider that answers when the test says so, and the scheduler's side of it."""

    clock: Clock = attrs.field(factory=Clock)
    fetches: Requests[None, bytes] = attrs.field(factory=Requests)
    keys: SigningKeys = attrs.field(init=False)
    parties: list[Party] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.keys = SigningKeys(self, self.clock.seconds)

    async def fetch(self) -> bytes:
        return await self.fetches.ask(None)

    def check(self, shown: str | None, *algorithms: str) -> Deferred[None]:
        knows = {"ann", "bob"}.__contains__
        tokens = SignedClientTokens(self.keys, GOOD["aud"], GOOD["iss"], algorithms or ("RS256",), "user", knows)
        return Deferred.fromCoroutine(tokens.check(shown, SENDER)).addCallback(self.parties.append)

    def publish(self, *kids: str) -> None:
        """Answer the fetch that is waiting."""
        self.fetches.answer(None, key_set(*map(jwk, kids)))

    def fail(self) -> None:
        self.fetches.answer(None, PeerError("GET https://id.example/keys: status 500"))

    @property
    def asked(self) -> bool:
        return bool(self.fetches.waiting)


@pytest.fixture
def provider() -> Provider:
    """A provider that nobody has asked yet."""
    return Provider()


@pytest.fixture
def published(provider: Provider) -> Provider:
    """A provider whose keys ``a`` and ``ec`` are known since the start."""
    started = Deferred.fromCoroutine(provider.keys.fetch())
    provider.publish("a", "ec")
    assert outcome(started) is None
    return provider


@pytest.mark.parametrize(
    "item",
    [
        {"kty": "oct", "kid": "a", "k": "c2VjcmV0", "alg": "RS256"},
        {"kty": "OKP", "kid": "a", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        jwk("b", kid=None),
        jwk("b", kid=7),
        jwk("b", kty=["RSA"]),
        jwk("b", n=7),
        jwk("b", n="!"),
        jwk("b", e=""),
        jwk("b", secret=True),
        jwk("ec", crv="P-999"),
        jwk("ec", x="AA"),
        jwk("b", use="enc"),
        {},
        "text",
        None,
    ],
)
def test_key_that_is_passed_over(item: object) -> None:
    """What is not the public half of a key for signatures, with a name, is passed over; the others count."""
    assert list(read_keys(key_set(item, jwk("c", use="sig")))) == ["c"]
    with pytest.raises(DecodeError):
        read_keys(key_set(item))


@pytest.mark.parametrize("octets", [b"", b"\xff", b"[" * 10**5, b"[]", b"{}", b"7", b'{"keys": {"a": 1}}', key_set()])
def test_no_key_set(octets: bytes) -> None:
    """An answer that is no key set, or an empty one, is the provider's failure."""
    with pytest.raises(DecodeError):
        read_keys(octets)


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "ES256"])
def test_good_token(published: Provider, algorithm: str) -> None:
    """A good token of each algorithm that is configured lets its client in."""
    kid = "ec" if algorithm == "ES256" else "a"
    assert outcome(published.check(token(kid, algorithm), "RS256", algorithm)) is None


def test_whose_token(published: Provider) -> None:
    """Who gets many tokens, or writes one in many ways, is one client; others are others."""
    shown = token(sub="ada")
    # The last character of a signature has four bits that say nothing: not every PyJWT looks at them.
    spellings = [shown[:-1] + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]
    for spelling in spellings:
        outcome(published.check(spelling))
    assert published.parties
    outcome(published.check(token(sub="ada", jti="another")))
    assert len(set(published.parties)) == 1
    nameless = token(), token(jti="another")
    for other in (token(sub="bob"), *nameless, nameless[0]):
        assert outcome(published.check(other)) is None
    assert len(set(published.parties)) == 4


def test_clocks_that_differ(published: Provider) -> None:
    """A token counts a little after its end and before its beginning: the provider's clock is not ours."""
    skew = LEEWAY_SECS / 2
    assert outcome(published.check(token(exp=time.time() - skew))) is None
    assert outcome(published.check(token(nbf=time.time() + skew, iat=time.time() + skew))) is None


def pem(kid: str) -> bytes:
    return bytes(private(kid).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


RS = {"typ": "JWT", "alg": "RS256", "kid": "a"}
REFUSED = {
    "expired": lambda: token(exp=time.time() - HOUR),
    "in the future": lambda: token(nbf=time.time() + HOUR),
    "no end": lambda: token(exp=None),
    "strange end": lambda: token(exp="tomorrow"),
    "wrong audience": lambda: token(aud="another farm"),
    "wrong audiences": lambda: token(aud=["another", "third"]),
    "no audience": lambda: token(aud=None),
    "wrong issuer": lambda: token(iss="https://id.example"),
    "no issuer": lambda: token(iss=None),
    "algorithm that is not configured": lambda: token(algorithm="RS512"),
    "signed by another key": lambda: token("b", named="a"),
    "signed by nobody": lambda: by_hand({**RS, "alg": "none"}),
    "not signed": lambda: by_hand(RS),
    "public key taken for a secret": lambda: by_hand({**RS, "alg": "HS256"}, pem("a")),
    "public key taken for a secret, in disguise": lambda: by_hand(RS, pem("a")),
    "key of another kind": lambda: by_hand({**RS, "kid": "ec"}, pem("ec")),
    "no algorithm": lambda: by_hand({"kid": "a"}),
    "strange algorithm": lambda: by_hand({**RS, "alg": ["RS256"]}),
    "no key": lambda: by_hand({"alg": "RS256"}),
    "strange key": lambda: by_hand({**RS, "kid": 7}),
    "unknown extension": lambda: by_hand({**RS, "crit": ["\ud800"]}),
    "detached": lambda: by_hand({**RS, "b64": False, "crit": ["b64"]}),
    "header is a list": lambda: by_hand([]),
    "header is no JSON": lambda: "!.e30.AA",
    "deep header": lambda: by_hand(json.loads("[" * 500 + "]" * 500)),
    "no JWT": lambda: "hunter2",
    "not ASCII": lambda: "\xe9.\xe9.\xe9",
    "nothing": lambda: "",
}


@pytest.mark.parametrize("made", REFUSED.values(), ids=REFUSED.keys())
def test_refused(published: Provider, made: Any) -> None:
    """A token that is wrong in any way is refused, without a look at the provider, and never quoted."""
    shown = made()
    error = outcome(published.check(shown))
    assert isinstance(error, ClientRefused)
    assert error.challenge == "bearer_auth_failed"
    str(error).encode()  # it is going to be sent
    assert not shown or shown not in "".join(traceback.format_exception(error))
    assert not published.asked


def test_no_token(published: Provider) -> None:
    """A client without a token is told so."""
    error = outcome(published.check(None))
    assert isinstance(error, ClientRefused)
    assert error.challenge == "no_bearer_auth"


def test_first_clients_share_one_fetch(provider: Provider) -> None:
    """Clients that come while the keys are being fetched wait for them, and the provider is asked once."""
    waiting = [Deferred.fromCoroutine(provider.keys.fetch()), *(provider.check(token()) for _ in range(3))]
    assert all(map(pending, waiting))
    assert len(provider.fetches.waiting) == 1
    provider.publish("a")
    assert [outcome(one) for one in waiting] == [None] * 4
    assert not provider.asked


def test_client_that_goes_away(provider: Provider) -> None:
    """A client that does not wait takes nothing from the others."""
    gone, stays = provider.check(token()), provider.check(token())
    gone.addErrback(lambda _: None)
    gone.cancel()
    provider.publish("a")
    assert outcome(stays) is None


def test_keys_that_change(published: Provider) -> None:
    """A token of a new key lets its client in as soon as the provider has it; one of a key that is gone does not."""
    new = published.check(token("b"))
    published.publish("b")
    assert outcome(new) is None
    assert isinstance(outcome(published.check(token("a"))), ClientRefused)


def test_unknown_keys_are_looked_for_at_a_limited_rate(published: Provider) -> None:
    """A client that invents keys makes the provider be asked once in a while, not each time."""
    first = published.check(token("b"))
    published.publish("a")
    assert isinstance(outcome(first), ClientRefused)
    for _ in range(2):
        published.clock.advance(REFETCH_SECS / 2 - 1)
        assert isinstance(outcome(published.check(token("c"))), ClientRefused)
        assert not published.asked
    published.clock.advance(2)
    again = published.check(token("b"))
    published.publish("a", "b")
    assert outcome(again) is None


@pytest.mark.parametrize("answer", [PeerError("no answer within 10 s"), b"<html>", key_set()])
def test_outage_at_start(provider: Provider, answer: bytes | PeerError) -> None:
    """While the provider has never been reached, nobody is let in nor refused; soon it is asked again."""
    first = provider.check(token())
    provider.fetches.answer(None, answer)
    error = outcome(first)
    assert isinstance(error, AuthUnavailable)
    assert "id.example" not in str(error)
    provider.clock.advance(RETRY_SECS - 1)
    assert isinstance(outcome(provider.check(token())), AuthUnavailable)
    assert not provider.asked
    provider.clock.advance(1)
    later = provider.check(token())
    provider.publish("a")
    assert outcome(later) is None


def test_outage_later(published: Provider) -> None:
    """In an outage the keys that are known go on to count; whether an unknown one is good, nobody can tell."""
    unknown = published.check(token("b"))
    published.fail()
    assert isinstance(outcome(unknown), AuthUnavailable)
    assert outcome(published.check(token("a"))) is None
    published.clock.advance(RETRY_SECS)
    later = published.check(token("b"))
    published.publish("b")
    assert outcome(later) is None


def test_a_claim_names_them(published: Provider) -> None:
    """A client has the name of that claim, if it is one of the clients' file; else its subject has none."""
    assert outcome(published.check(token(user="ann", sub="1"))) is None
    assert published.parties == ["ann@192.0.2.1"]
    others: tuple[dict[str, Any], ...] = (
        {"user": "eve"},
        {"user": ["ann"]},
        {"user": "ann@10.0.0.7"},
        {"user": "_default"},
        {},
    )
    for claims in others:
        assert outcome(published.check(token(sub="1", **claims))) is None
    assert len(set(published.parties)) == 2
    assert published.parties[-1].startswith("#")
