"""Calls to a port that speaks TLS where the URL says ``http``, or the other way round."""

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from sccachedist.errors import PeerError
from sccachedist.peers.wrong_scheme import PATIENCE_SECS
from tests.peers.test_http_client import TOKEN, URL, Farm

WRONG = "the other one is spoken there"
SECURE = URL.replace("http:", "https:")


@pytest.mark.parametrize("wrong", [None, WRONG])
def test_tls_that_is_waited_for_in_vain(wrong: str | None) -> None:
    """In a moment it is looked whether the peer speaks plain HTTP; if not, its answer is waited for."""
    farm = Farm(wrong=wrong)
    call = farm.run(farm.calls.post(SECURE, b"ping", token=TOKEN, timeout=10, limit=100))
    farm.reactor.advance(PATIENCE_SECS)
    assert farm.looked == ["https://127.0.0.1:10600"]
    farm.reactor.advance(0)
    assert call.called == (wrong is not None)
    farm.reactor.advance(10)
    error = failed(call)
    assert str(error) == f"POST {SECURE}: {wrong or 'no answer within 10 s'}" or wrong is None
    assert error.status is None


@pytest.mark.parametrize(
    ("answer", "looks"),
    [
        (b"", True),
        (b"\x15\x03\x01\x00\x02\x02\x28", True),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", False),
    ],
)
@pytest.mark.parametrize("wrong", [None, WRONG])
def test_http_where_tls_is_spoken(answer: bytes, looks: bool, wrong: str | None) -> None:
    """What a TLS port may answer to plain HTTP makes us look; the error says what was found."""
    farm = Farm(wrong=wrong)
    call = farm.post()
    number = 0
    while not call.called:
        number += 1
        peer = farm.accept(number)
        peer.say(answer)
        peer.close()
        farm.reactor.advance(0)
    assert farm.looked == (["http://127.0.0.1:10600"] if looks else [])
    assert (WRONG in str(failed(call))) == (looks and wrong is not None)


def failed(call: Deferred[Any]) -> PeerError:
    """The error of a call that has ended."""
    errors: list[Failure] = []
    call.addErrback(errors.append)
    assert isinstance(errors[0].value, PeerError)
    return errors[0].value
