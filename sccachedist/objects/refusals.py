"""What an object store means by an answer that is no success, in words for an operator. Pure.

Its bodies are XML documents of a few elements. Only two of these are read, by their tags, so no parser meets a
stranger's document.
"""

import re

from sccachedist.errors import PeerError

_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
_REGION = re.compile(rb"<Region>([a-z0-9-]{1,64})</Region>")
#: A missing object, and what the conditional put of one that is there is answered with.
MISSING, EMPTY, IS_THERE, NOT_UNDERSTOOD = 404, 416, (409, 412), 501
_WRONG, _FULL = 400, 507
_OTHER_REGION = ("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint")
_NO_SUCH_OBJECT = "NoSuchKey"
_MEANINGS = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "the credentials do not allow it: s3:GetObject, s3:PutObject and s3:ListBucket are needed",
    "InvalidAccessKeyId": "it does not know the access key",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "ExpiredToken": "the credentials have expired",
    "InvalidToken": "the credentials are not valid",
    "RequestTimeTooSkewed": "the clocks of this host and of the store differ: set this host's",
    "EntityTooLarge": "the object is too large for it",
    "QuotaExceeded": "it is full",
    "XMinioStorageFull": "it is full",
}


def refusal(status: int, body: bytes) -> PeerError:
    """The error of an answer.

    :param body: its beginning.
    :returns: with the status; 404 stands for a missing object alone.
    """
    found = _CODE.search(body)
    code = found[1].decode() if found else ""
    if status == MISSING and code != _NO_SUCH_OBJECT:
        status = _WRONG
    return PeerError(_meaning(status, code, body), status=status)


def _meaning(status: int, code: str, body: bytes) -> str:
    if status == MISSING:
        return "there is no such object"
    if status // 100 == 3 or code in _OTHER_REGION:
        region = _REGION.search(body)
        place = f", {region[1].decode()}" if region else ""
        return f"the bucket is in another region{place}: see toolchains.store_region and toolchains.store_endpoint"
    if code in _MEANINGS:
        return _MEANINGS[code]
    if status == _FULL:
        return "it is full"
    return f"status {status}{f' ({code})' if code else ''}"


def is_passing(error: PeerError) -> bool:
    """Whether a failed call is worth another try: the store was busy, or the connection was lost."""
    status = error.status
    return status is None or status in (408, 429) or (status // 100 == 5 and status not in (NOT_UNDERSTOOD, _FULL))
