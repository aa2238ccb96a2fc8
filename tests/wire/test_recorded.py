"""The codecs against exchanges recorded from the published programs (``exchanges.json``, bodies in hex)."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sccachedist.errors import DecodeError
from sccachedist.wire import messages as m
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.bincode import Codec, Reader, decode, encode
from sccachedist.wire.run_job_frame import FrameHead, frame

EXCHANGES = json.loads(Path(__file__).with_name("exchanges.json").read_text())

# What each route takes and answers; None where the body is not one message.
ROUTES: dict[str, tuple[Codec[Any] | None, Codec[Any]]] = {
    "alloc_job": (m.TOOLCHAIN, m.ALLOC_JOB_RESPONSE),
    "server_certificate": (None, m.SERVER_CERTIFICATE),
    "heartbeat_server": (m.HEARTBEAT, m.HEARTBEAT_RESULT),
    "job_state": (m.JOB_STATE, m.UPDATE_JOB_STATE_RESULT),
    "status": (None, m.SCHEDULER_STATUS),
    "assign_job": (m.TOOLCHAIN, m.ASSIGN_JOB_RESULT),
    "submit_toolchain": (None, m.SUBMIT_TOOLCHAIN_RESULT),
    "run_job": (None, m.RUN_JOB_RESULT),
}


def body(index: int) -> bytes:
    return bytes.fromhex(EXCHANGES[index]["body"])


def response(index: int) -> bytes:
    return bytes.fromhex(EXCHANGES[index]["response"])


def recorded_messages() -> list[Any]:
    """Each message of each exchange that went well, with its codec."""
    found = []
    for index, exchange in enumerate(EXCHANGES):
        route = re.split("[/ ]", exchange["head"])[5]
        of_body, of_response = ROUTES[route]
        if of_body is not None:
            found.append(pytest.param(of_body, body(index), id=f"{index}-{route}"))
        if exchange["status"] == 200:
            found.append(pytest.param(of_response, response(index), id=f"{index}-{route}-answer"))
    return found


ARCHIVE = "8b53360fcff9963612978c7daff36bb3b57fa3fa21972afce9bb54baa1a2d66d"
GCC_ARCHIVE = "afecf7517b8a2be86bf885377d2a405db2bf85dd8ec436d631419786831eb4e8"
JOB_0 = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJleHAiOjAsImpvYl9pZCI6MH0.r4QOt04xs_CUH2iCb74FUzeyU0XXuXjKfFTq-ggIo5Y"
CERT_DIGEST = bytes.fromhex("714beca9ca1c4467efa5acd8b9b365ed9b0d38f127ec1677bb8d1830775efcf6")
BUILD_SERVER = ServerId.parse("127.0.0.1:11502")
HEARTBEAT = m.Heartbeat(bytes(range(32)), 2, 0x1122334455667788, CERT_DIGEST, response(18)[-1046:])
CERTIFICATE = m.ServerCertificate(CERT_DIGEST, response(18)[-1046:])
OBJECT = m.OutputData(bytes.fromhex("7801cbcb2f5148cc53c84fca4a4d2e0100216104d8"), 13)

TABLE: list[tuple[str, Codec[Any], Any, bytes]] = [
    ("toolchain", m.TOOLCHAIN, m.Toolchain(ARCHIVE), body(15)),
    ("toolchain of gcc", m.TOOLCHAIN, m.Toolchain(GCC_ARCHIVE), body(27)),
    ("heartbeat", m.HEARTBEAT, HEARTBEAT, body(16)),
    ("new server", m.HEARTBEAT_RESULT, m.HeartbeatResult(is_new=True), response(16)),
    ("known server", m.HEARTBEAT_RESULT, m.HeartbeatResult(is_new=False), response(17)),
    ("certificate", m.SERVER_CERTIFICATE, CERTIFICATE, response(18)),
    (
        "allocated",
        m.ALLOC_JOB_RESPONSE,
        m.AllocJobSuccess(m.JobAlloc(JOB_0, m.JobId(0), BUILD_SERVER), True, CERT_DIGEST),
        response(20),
    ),
    (
        "not allocated",
        m.ALLOC_JOB_RESPONSE,
        m.AllocJobFail("Insufficient capacity across 0 available servers"),
        response(15),
    ),
    ("toolchain missing", m.ASSIGN_JOB_RESULT, m.AssignJobResult(m.JobState.PENDING, True), response(1)),
    ("toolchain there", m.ASSIGN_JOB_RESULT, m.AssignJobResult(m.JobState.READY, False), response(7)),
    ("ready", m.JOB_STATE, m.JobState.READY, body(2)),
    ("started", m.JOB_STATE, m.JobState.STARTED, body(4)),
    ("complete", m.JOB_STATE, m.JobState.COMPLETE, body(5)),
    ("state noted", m.UPDATE_JOB_STATE_RESULT, m.UpdateJobStateSuccess(), response(2)),
    ("empty farm", m.SCHEDULER_STATUS, m.SchedulerStatus(0, 0, 0), response(14)),
    ("one server", m.SCHEDULER_STATUS, m.SchedulerStatus(1, 2, 0), response(25)),
    ("upload taken", m.SUBMIT_TOOLCHAIN_RESULT, m.SubmitToolchainResult.SUCCESS, response(3)),
    ("no such job", m.RUN_JOB_RESULT, m.JobNotFound(), response(13)),
    (
        "compile failed",
        m.RUN_JOB_RESULT,
        m.JobComplete(m.ProcessOutput(3, b"out\n", b"err\n"), ()),
        response(10),
    ),
    (
        "compiled",
        m.RUN_JOB_RESULT,
        m.JobComplete(m.ProcessOutput(0, b"", b""), (("/build/t.o", OBJECT),)),
        response(30),
    ),
]
ROWS = pytest.mark.parametrize(("codec", "value", "data"), [pytest.param(*row[1:], id=row[0]) for row in TABLE])

COMMAND = m.CompileCommand(
    "/usr/bin/gcc",
    ("-x", "cpp-output", "-c", "/build/t.c", "-o", "/build/t.o", "-fpreprocessed", "-O2"),
    (
        ("PATH", "/usr/bin:/bin"),
        ("HOME", "/build"),
        ("SCCACHE_CONF", "/build/client.conf"),
        ("SCCACHE_SERVER_PORT", "4777"),
    ),
    "/build",
)


@pytest.mark.parametrize(("codec", "data"), recorded_messages())
def test_every_recorded_message_is_written_as_it_was_read(codec: Codec[Any], data: bytes) -> None:
    """Nothing that the published programs sent is lost on the way through a value."""
    assert encode(codec, decode(codec, data)) == data


@ROWS
def test_read(codec: Codec[Any], value: Any, data: bytes) -> None:
    """A message of the published programs means what the protocol says."""
    assert decode(codec, data) == value


@ROWS
def test_written(codec: Codec[Any], value: Any, data: bytes) -> None:
    """The published programs get the bytes that they would get from each other."""
    assert encode(codec, value) == data


@ROWS
def test_cut_off(codec: Codec[Any], value: Any, data: bytes) -> None:
    """A message that was cut off anywhere is refused."""
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            decode(codec, data[:size])


@ROWS
def test_extended(codec: Codec[Any], value: Any, data: bytes) -> None:
    """A message may be extended at its end; a reader that knows of it finds what is there."""
    source = Reader(data + b"more")
    assert codec.read(source) == value
    assert source.rest() == b"more"


def test_run_job_of_a_real_client() -> None:
    """The command of a real client is read, and its inputs are left as they came."""
    head = FrameHead(limit=65536)
    inputs = head.feed(body(30))
    request = m.RunJobRequest(COMMAND, ("/build/t.o",))
    assert decode(m.RUN_JOB_REQUEST, head.finish()) == request
    assert inputs[:2] == b"\x78\x01"
    assert frame(request, inputs) == body(30)
