"""What daemons say of their refusals, in the errors of calls."""

import pytest

from tests.peers.test_http_client import URL, Farm, failure


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"description": "no room\\n(limit: inputs_bytes)", "cause": null}', r" (no room\n(limit: inputs_bytes))"),
        (b'{"description": 7}', ""),
        (b"[" * 99, ""),
        (b"<html>", ""),
        (b"", ""),
    ],
)
def test_reasons_of_daemons(body: bytes, said: str) -> None:
    """What a daemon says of its refusal is in the error."""
    farm = Farm()
    call = farm.post()
    farm.accept(1).say(b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    error = failure(call)
    assert (error.status, str(error)) == (500, f"POST {URL}: status 500{said}")
