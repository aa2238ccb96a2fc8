"""The examples of our own messages in ``doc/protocol``: our codecs make of each byte what the page says of it."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from textwrap import dedent
from typing import Any

import attrs
import pytest

from sccachedist.wire.abilities import MOST_LABELS, MOST_MACHINES, Abilities, GatewayFacts, ObjectStoreFacts
from sccachedist.wire.bincode import TEXT, U16, U64, Codec, decode, encode
from sccachedist.wire.extension import (
    EXTENDED_HEARTBEAT,
    EXTENDED_HEARTBEAT_RESULT,
    JOB_STATES,
    MOST_FORGOTTEN,
    MOST_JOBS,
    MOST_KILLED,
    Availability,
    Health,
    Orders,
)
from sccachedist.wire.host_facts import MOST_TOOLCHAINS, MOST_UPLOADS, HostFacts
from sccachedist.wire.messages import (
    HEARTBEAT,
    HEARTBEAT_RESULT,
    UPDATE_JOB_STATE_RESULT,
    JobId,
    JobState,
    UpdateJobStateFail,
    UpdateJobStateSuccess,
)
from sccachedist.wire.tokens import check_job_token, job_token

PAGE = (Path(__file__).parents[2] / "doc/protocol.rst").read_text()
BLOCK = re.compile(r"^\.\. code-block:: none\n   :name: example-([a-z-]+)\n\n((?:   .*\n|\n)+)", re.MULTILINE)
EXAMPLES = {name: dedent(block).strip().splitlines() for name, block in BLOCK.findall(PAGE)}
MESSAGES: dict[str, Codec[Any]] = {
    "heartbeat": EXTENDED_HEARTBEAT,
    "heartbeat-result": EXTENDED_HEARTBEAT_RESULT,
    "job-states": JOB_STATES,
    "noted": UPDATE_JOB_STATE_RESULT,
    "no-such-server": UPDATE_JOB_STATE_RESULT,
}
#: The marks that stand before some fields.
MARKS = {"summaries": b"sccachedist 3\n", "version": b"sccachedist 4\n"}
#: What one of several is called.
ITEMS = {"sizes": "size", "kill": "job", "machines": "machine", "labels": "label", "built_for": "built for"}
#: Where the page has the bytes of a line, and where what they are.
HEX_COLUMNS = 49


def octets(example: list[str]) -> bytes:
    """The bytes of an example."""
    return bytes.fromhex(" ".join(line[:HEX_COLUMNS] for line in example))


def shown(data: bytes, meaning: str) -> Iterator[str]:
    """Bytes as the page has them, sixteen a line; the first line says what they are."""
    for start in range(0, max(len(data), 1), 16):
        yield f"{data[start : start + 16].hex(' '):{HEX_COLUMNS}}{'' if start else meaning}".rstrip()


def fields(value: Any) -> Iterator[str]:
    """The fields of a struct, one after the other, but for an offer, which no gateway makes."""
    for field in attrs.fields(type(value)):
        if field.name == "offer":
            continue
        if (mark := MARKS.get(field.name)) is not None:
            yield from shown(mark, f'the mark, "{mark[:-1].decode()}\\n"')
        yield from written(field.name, getattr(value, field.name))


def written(name: str, value: object) -> Iterator[str]:
    """One field: a line for each number in it, and the bytes of each text."""
    match value:
        case bool():
            yield from shown(bytes([value]), f"{name} = {str(value).lower()}")
        case None:
            yield from shown(b"\xff" * 8, f"{name}: not known")
        case int() if name in ("metrics_port", "machine", "built for"):
            yield from shown(encode(U16, value), f"{name} = {value}")
        case int():
            yield from shown(encode(U64, value), f"{name} = {value}")
        case Enum():
            yield from shown(tuple(type(value)).index(value).to_bytes(4, "little"), f"{name} = {value.value}")
        case str():
            yield from shown(encode(TEXT, value)[:8], f"{name}: {len(value)} bytes")
            yield from shown(value.encode(), f'"{value}"' if len(value) <= 16 else "")
        case Health():
            yield from shown(b"sccachedist 2\n", r'the mark, "sccachedist 2\n"')
            yield from fields(value)
        case HostFacts():
            yield from shown(b"sccachedist 5\n", r'the mark, "sccachedist 5\n"')
            yield from fields(value)
        case Abilities():
            yield from shown(b"sccachedist 7\n", r'the mark, "sccachedist 7\n"')
            yield from fields(value)
        case ObjectStoreFacts():
            yield from shown(b"sccachedist 8\n", r'the mark, "sccachedist 8\n"')
            yield from fields(value)
        case GatewayFacts():
            yield from shown(b"sccachedist 9\n", r'the mark, "sccachedist 9\n"')
            yield from fields(value)
        case Orders():
            yield from shown(b"sccachedist 6\n", r'the mark, "sccachedist 6\n"')
            yield from fields(value)
        case bytes():
            yield from shown(encode(U64, len(value)), f"{name}: {len(value)} bytes")
            yield from shown(value, "")
        case tuple():
            yield from shown(encode(U64, len(value)), f"{name}: {len(value)}")
            item_name = ITEMS.get(name, "archive id")
            for item in value:
                yield from pair(*item) if isinstance(item, tuple) else written(item_name, item)
        case _:
            raise AssertionError(f"{name}: nothing of that kind is in these messages")


def pair(first: JobId | str, told: JobState | bytes | int) -> Iterator[str]:
    """A job and its state, or its summary; a toolchain and its bytes."""
    if isinstance(told, int):
        yield from (*written("archive id", first), *written("bytes", told))
        return
    yield from written("job", first)
    yield from written("summary" if isinstance(told, bytes) else "state", told)


def lines(message: object) -> Iterator[str]:
    """A whole message as the page should have it."""
    match message:
        case (plain, report):
            yield from fields(plain)
            yield from shown(b"sccachedist 1\n", r'the mark, "sccachedist 1\n"')
            yield from fields(report)
        case UpdateJobStateSuccess():
            yield from shown(bytes(4), "Success")
        case UpdateJobStateFail():
            yield from shown(bytes([1, 0, 0, 0]), "Fail")
            yield from fields(message)
        case _:
            yield from fields(message)


@pytest.mark.parametrize("name", MESSAGES)
def test_example(name: str) -> None:
    """An example is one whole message, and the page says of each of its bytes what our codec makes of it."""
    codec, data = MESSAGES[name], octets(EXAMPLES[name])
    message = decode(codec, data)
    assert encode(codec, message) == data
    assert EXAMPLES[name] == list(lines(message))


@pytest.mark.parametrize(("name", "published"), [("heartbeat", HEARTBEAT), ("heartbeat-result", HEARTBEAT_RESULT)])
def test_published_readers(name: str, published: Codec[Any]) -> None:
    """Both examples with a mark begin with what a published program sends."""
    data = octets(EXAMPLES[name])
    assert data.startswith(encode(published, decode(published, data)) + b"sccachedist 1\n")


def test_every_field() -> None:
    """The page has each field of our messages under its name, and each of the words that one may be."""
    for name in ("heartbeat", "heartbeat-result", "job-states"):
        message = decode(MESSAGES[name], octets(EXAMPLES[name]))
        ours = message[1] if isinstance(message, tuple) else message
        names = [
            field.name for kind in (type(ours), Health, HostFacts, Abilities, Orders) for field in attrs.fields(kind)
        ]
        assert [name for name in names if f"``{name}``" not in PAGE] == []
    for word in (*Availability, *JobState):
        assert f"``{word.value}``" in PAGE
    assert f"{MOST_JOBS} jobs" in PAGE
    assert f"{MOST_KILLED} jobs" in PAGE
    assert f"{MOST_FORGOTTEN} of them" in PAGE
    assert f"{MOST_TOOLCHAINS} toolchains" in PAGE
    assert f"{MOST_UPLOADS} uploads" in PAGE
    assert f"{MOST_MACHINES} machines" in PAGE
    assert f"{MOST_LABELS} labels" in PAGE


def test_token() -> None:
    """The example of a token opens its job with the key of the page, and has the claims of the page."""
    (token,), (claims,) = EXAMPLES["token"], EXAMPLES["token-claims"]
    payload = urlsafe_b64decode(token.split(".")[1] + "==")
    assert payload.decode() == claims
    key, job_id = bytes(range(32)), JobId(json.loads(claims)["job_id"])
    grant = check_job_token(token, key, job_id)
    assert grant is not None
    assert job_token(key, job_id, grant.toolchain, issued=grant.issued, client=grant.client) == token


def test_nothing_is_left_out() -> None:
    """Each example of the page is looked at."""
    assert EXAMPLES.keys() == MESSAGES.keys() | {"token", "token-claims"}
