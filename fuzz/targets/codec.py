"""Every message, those of gateways and the heartbeat included, and the texts that travel: ids, addresses and tokens.

The first byte chooses how the rest is read. A value that can be read is written and read again.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

from sccachedist.builders.worker_protocol import REPLY, REQUEST
from sccachedist.errors import DecodeError, Refused, StaleToken
from sccachedist.outcomes import SentLocal
from sccachedist.policy import OnFailure
from sccachedist.wire import extension as reports
from sccachedist.wire import gateway, holders, messages
from sccachedist.wire.addresses import SERVER_ID, ServerId
from sccachedist.wire.archive_id import archive_id
from sccachedist.wire.bincode import Codec, decode, encode
from sccachedist.wire.messages import JobId
from sccachedist.wire.secret_key import decode_secret_key
from sccachedist.wire.tokens import check_job_token, job_token, read_server_token, server_token
from sccachedist.wire.usage import Usage
from tests.wire.test_recorded import recorded_messages

KEY = bytes(range(32))
ADDRESS = ServerId.parse("127.0.0.1:10501")
ARCHIVE = "8b53360fcff9963612978c7daff36bb3b57fa3fa21972afce9bb54baa1a2d66d"


def _codecs(module: ModuleType) -> Iterator[Codec[Any]]:
    """The codecs of a module."""
    return (value for name, value in sorted(vars(module).items()) if name.isupper() and hasattr(value, "to_json"))


GATEWAYS: list[Codec[Any]] = [
    gateway.WORKER_HELLO,
    gateway.WELCOME,
    gateway.WORKER_STATE,
    gateway.WORKER_ORDERS,
    gateway.WORKER_JOB,
    gateway.WORKER_ANSWER,
    gateway.TAKEN,
]
CODECS: list[Codec[Any]] = [
    *_codecs(messages),
    SERVER_ID,
    REQUEST,
    REPLY,
    reports.EXTENDED_HEARTBEAT,
    reports.EXTENDED_HEARTBEAT_RESULT,
    reports.JOB_STATES,
    *GATEWAYS,
    holders.HOLDERS,
    holders.POPULAR,
]
#: A number that stands for a flag is true if it is not 0, and is written as 1.
LENIENT: list[Codec[Any]] = [REPLY, gateway.WORKER_ANSWER]
TEXTS: list[Callable[[str], object]] = [
    archive_id,
    decode_secret_key,
    ServerId.parse,
    lambda text: check_job_token(text, KEY, JobId(7)),
    lambda text: read_server_token(text, KEY),
]
_TEXT_SEEDS = [ARCHIVE, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", str(ADDRESS), job_token(KEY, JobId(7))]


def _exchanged() -> Iterator[tuple[Codec[Any], Any]]:
    """What a gateway and its worker tell each other, and what build servers hear of toolchains."""
    yield gateway.WORKER_HELLO, gateway.WorkerHello("one", 7, 4, 6, (62, 3), ("fast",), "1", (ARCHIVE,))
    yield gateway.WELCOME, gateway.Welcome("0" * 32, 5, 5, 20, 540, b"PEM")
    yield gateway.WORKER_STATE, gateway.WorkerState(4, 6, (ARCHIVE,), (1, 3), 4)
    yield gateway.WORKER_ORDERS, gateway.WorkerOrders((7, 8), b"PEM")
    yield gateway.WORKER_JOB, gateway.WorkerJob(1, JobId(7), ARCHIVE, b"request", True, OnFailure.VERIFY)
    yield gateway.WORKER_ANSWER, gateway.Built(Usage(run_ns=7), 9)
    yield gateway.WORKER_ANSWER, gateway.NotBuilt(SentLocal.LIMIT, "job_secs", "too long")
    yield gateway.WORKER_ANSWER, gateway.Busy()
    yield gateway.TAKEN, gateway.Taken(True)
    yield holders.HOLDERS, holders.Holders((holders.ToolchainHolder(ADDRESS, bytes(32), "token"),), True)
    yield holders.POPULAR, (holders.Popular(ARCHIVE, 1000),)


def seeds() -> Iterator[bytes]:
    """The recorded messages, those of our daemons alone, and a text of each kind."""
    for exchanged, value in _exchanged():
        yield bytes([CODECS.index(exchanged)]) + encode(exchanged, value)
    for recorded in recorded_messages():
        codec, octets = recorded.values
        yield bytes([CODECS.index(codec)]) + octets
    for index, text in enumerate([*_TEXT_SEEDS, server_token(KEY, ADDRESS)]):
        yield bytes([len(CODECS) + index]) + text.encode()


def attack(data: bytes) -> None:
    """Read the input."""
    if not data:
        return
    chosen = data[0] % (len(CODECS) + len(TEXTS))
    with suppress(DecodeError, Refused, StaleToken):
        if chosen < len(CODECS):
            _read(CODECS[chosen], data[1:])
        else:
            TEXTS[chosen - len(CODECS)](data[1:].decode("latin-1"))


def _read(codec: Codec[Any], octets: bytes) -> None:
    value = decode(codec, octets)
    written = encode(codec, value)
    assert codec in LENIENT or octets.startswith(written), (octets, written)
    assert decode(codec, written) == value
    json.dumps(codec.to_json(value))
