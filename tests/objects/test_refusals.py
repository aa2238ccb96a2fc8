"""What answers of an object store mean that are no success."""

import pytest

from sccachedist.errors import PeerError
from sccachedist.objects.refusals import is_passing, refusal

_REGION = b"<Error><Code>PermanentRedirect</Code><Region>eu-west-1</Region></Error>"


def error(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "body", "text", "found"),
    [
        (404, error("NoSuchKey"), "there is no such object", 404),
        (404, error("NoSuchBucket"), "there is no such bucket", 400),
        (404, b"<html>not here</html>", "status 400", 400),
        (403, error("AccessDenied"), "s3:ListBucket", 403),
        (403, error("RequestTimeTooSkewed"), "clocks", 403),
        (403, error("SignatureDoesNotMatch"), "the secret key is wrong", 403),
        (301, _REGION, "in another region, eu-west-1: see toolchains.store_region", 301),
        (307, b"", "in another region: see", 307),
        (400, error("AuthorizationHeaderMalformed"), "in another region", 400),
        (507, b"", "it is full", 507),
        (503, error("SlowDown"), "status 503 (SlowDown)", 503),
        (502, b"<Code>\xff</Code>", "status 502", 502),
    ],
)
def test_meanings(status: int, body: bytes, text: str, found: int) -> None:
    """Each in words that say what to mend; only a missing object has the status 404."""
    made = refusal(status, body)
    assert text in str(made)
    assert made.status == found


@pytest.mark.parametrize(
    ("status", "passing"),
    [(None, True), (503, True), (500, True), (429, True), (408, True), (507, False), (501, False), (403, False)],
)
def test_passing(status: int | None, passing: bool) -> None:
    """A store that is busy is asked again, one that is full or refuses the credentials is not."""
    assert is_passing(PeerError("", status=status)) is passing
