"""What somebody is told: of a result in the form that was asked for, of an error by the one table."""

import json

import pytest

from sccachedist import errors as e
from sccachedist.outcomes import SentLocal
from sccachedist.web.request_head import Head
from sccachedist.web.responses import JSON, UnknownRoute, error_response, message_response, prefers_json
from sccachedist.wire.messages import SCHEDULER_STATUS, SchedulerStatus

JSON_UTF8 = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


def described(text: str) -> bytes:
    return json.dumps({"description": text, "cause": None}, separators=(",", ":")).encode()


# "Answers of the published daemons to what is wrong" in doc/protocol, and what may be our fault below.
TABLE: list[tuple[e.SccachedistError, int, str | None, str | None, bytes]] = [
    (e.ClientRefused("no_bearer_auth", "no client token"), 401, "no_bearer_auth", TEXT, b""),
    (e.ClientRefused("bearer_auth_failed", "refused"), 401, "bearer_auth_failed", TEXT, b"refused"),
    (e.PeerRefused("invalid_bearer_token", "refused"), 401, "invalid_bearer_token", None, b""),
    (
        e.PeerRefused("invalid_bearer_token_mismatched_address", "refused"),
        401,
        "invalid_bearer_token_mismatched_address",
        None,
        b"",
    ),
    (e.PeerRefused("invalid_jwt", "malformed"), 401, "invalid_jwt", JSON_UTF8, described("malformed")),
    (e.AuthUnavailable("no word"), 503, None, JSON_UTF8, described("no word")),
    (e.NoLeader("no word"), 503, None, JSON_UTF8, described("no word")),
    (e.SessionOver("say hello"), 410, None, JSON_UTF8, described("say hello")),
    (e.DecodeError("no such variant"), 400, None, JSON_UTF8, described("no such variant")),
    (UnknownRoute("/api/v1/scheduler/x"), 404, None, None, b""),
    (UnknownRoute("/api/v1/distserver/"), 404, None, None, b""),
    (UnknownRoute("/api/v1/farm/x"), 404, None, TEXT, b"no such path, or not with this method\n"),
    (e.StaleToken("old"), 500, None, JSON_UTF8, described("old")),
    (e.LimitExceeded("outputs", "many"), 500, None, JSON_UTF8, described("many (limit: outputs)")),
    (e.UnknownServer("who?"), 500, None, JSON_UTF8, described("who?")),
    (e.UnknownJob("Unknown job"), 500, None, JSON_UTF8, described("Unknown job")),
    (e.BadTransition("not there"), 500, None, JSON_UTF8, described("not there")),
    (e.PeerError("silent", status=401), 500, None, JSON_UTF8, described("silent")),
    (e.BuildError(SentLocal.SANDBOX, "no sandbox"), 500, None, JSON_UTF8, described("no sandbox")),
    (e.ToolchainError("damaged"), 500, None, JSON_UTF8, described("damaged")),
]


@pytest.mark.parametrize(
    ("error", "status", "challenge", "media", "body"),
    [pytest.param(*row, id=f"{type(row[0]).__name__} {row[2] or ''}") for row in TABLE],
)
def test_errors(error: e.SccachedistError, status: int, challenge: str | None, media: str | None, body: bytes) -> None:
    """Only those who are certainly wrong get a 4xx; what may be our fault makes a client compile locally."""
    answer = error_response(error)
    headers = dict(answer.headers)
    assert (answer.status, answer.body, headers.get("Content-Type")) == (status, body, media)
    assert headers.get("WWW-Authenticate") == (challenge and f'Bearer error="{challenge}"')


@pytest.mark.parametrize(
    ("accept", "as_json"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/octet-stream", False),
        ("application/json", True),
        ("application/json, */*", True),
        ("application/json;q=0.5, application/octet-stream;q=0.9", False),
        ("application/octet-stream;q=0.5, application/json", True),
        ("application/*", False),
        ("text/html", False),
        ("text/html, application/json;q=0.1", True),
        ("application/json;q=0", False),
        ("application/json;q=nonsense", False),
        (";;,,=\x00\xff", False),
    ],
)
def test_form(accept: str | None, as_json: bool) -> None:
    """JSON for who prefers it, bincode for everybody else, and nothing is ever not acceptable."""
    headers = {} if accept is None else {"accept": accept}
    assert prefers_json(Head("GET", "/", headers, "127.0.0.1", 0)) is as_json


def test_both_forms() -> None:
    """A message travels in the form that was asked for, and says which."""
    status = SchedulerStatus(1, 2, 3)
    as_json = message_response(SCHEDULER_STATUS, status, as_json=True)
    assert as_json.headers == (("Content-Type", JSON_UTF8),)
    assert as_json.body == b'{"num_servers":1,"num_cpus":2,"in_progress":3}'
    octets = message_response(SCHEDULER_STATUS, status, as_json=False)
    assert octets.headers == (("Content-Type", "application/octet-stream"),)
    assert octets.body == bytes.fromhex("010000000000000002000000000000000300000000000000")
    assert JSON in JSON_UTF8
