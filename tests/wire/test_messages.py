"""Every message: the JSON form, and whatever hypothesis makes of it."""

import json
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.errors import DecodeError
from sccachedist.wire import messages as m
from sccachedist.wire.addresses import SERVER_ID, ServerId
from sccachedist.wire.bincode import Codec, Reader, decode, encode

u64 = st.integers(0, 2**64 - 1)
i32 = st.integers(-(2**31), 2**31 - 1)
octets = st.binary(max_size=40)
texts = st.text(max_size=20)
names = st.lists(texts, max_size=4).map(tuple)
server_ids = st.builds(ServerId, st.ip_addresses(), st.integers(0, 0xFFFF))
job_allocs = st.builds(m.JobAlloc, texts, u64, server_ids)
commands = st.builds(m.CompileCommand, texts, names, st.lists(st.tuples(texts, texts), max_size=4).map(tuple), texts)
outputs = st.lists(st.tuples(texts, st.builds(m.OutputData, octets, u64)), max_size=4).map(tuple)

damages = st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=4)


def damaged(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    """Some bytes with some of them changed."""
    changed = bytearray(data)
    for position, byte in changes:
        changed[position % len(data)] = byte
    return bytes(changed)


MESSAGES: list[tuple[str, Codec[Any], st.SearchStrategy[Any]]] = [
    ("server_id", SERVER_ID, server_ids),
    ("toolchain", m.TOOLCHAIN, st.builds(m.Toolchain, texts)),
    ("job_state", m.JOB_STATE, st.sampled_from(m.JobState)),
    (
        "alloc_job_response",
        m.ALLOC_JOB_RESPONSE,
        st.builds(m.AllocJobSuccess, job_allocs, st.booleans(), octets) | st.builds(m.AllocJobFail, texts),
    ),
    ("server_certificate", m.SERVER_CERTIFICATE, st.builds(m.ServerCertificate, octets, octets)),
    ("heartbeat", m.HEARTBEAT, st.builds(m.Heartbeat, octets, u64, u64, octets, octets)),
    ("heartbeat_result", m.HEARTBEAT_RESULT, st.builds(m.HeartbeatResult, st.booleans())),
    (
        "update_job_state_result",
        m.UPDATE_JOB_STATE_RESULT,
        st.builds(m.UpdateJobStateSuccess) | st.builds(m.UpdateJobStateFail, texts),
    ),
    ("scheduler_status", m.SCHEDULER_STATUS, st.builds(m.SchedulerStatus, u64, u64, u64)),
    (
        "assign_job_result",
        m.ASSIGN_JOB_RESULT,
        st.builds(m.AssignJobResult, st.sampled_from(m.JobState), st.booleans()),
    ),
    ("submit_toolchain_result", m.SUBMIT_TOOLCHAIN_RESULT, st.sampled_from(m.SubmitToolchainResult)),
    ("run_job_request", m.RUN_JOB_REQUEST, st.builds(m.RunJobRequest, commands, names)),
    (
        "run_job_result",
        m.RUN_JOB_RESULT,
        st.builds(m.JobNotFound) | st.builds(m.JobComplete, st.builds(m.ProcessOutput, i32, octets, octets), outputs),
    ),
]
EACH = pytest.mark.parametrize(("codec", "values"), [pytest.param(*row[1:], id=row[0]) for row in MESSAGES])


# pytest-twisted cannot run a parametrized test that is a hypothesis test too: hence the tests within these tests.


@EACH
def test_round_trip(codec: Codec[Any], values: st.SearchStrategy[Any]) -> None:
    """Whatever is written is read again, and nothing that stands behind it."""

    @given(values, octets)
    def check(value: Any, trailing: bytes) -> None:
        source = Reader(encode(codec, value) + trailing)
        assert codec.read(source) == value
        assert source.rest() == trailing

    check()


@EACH
def test_any_bytes(codec: Codec[Any], values: st.SearchStrategy[Any]) -> None:
    """Whatever bytes come, there is a value or a decode error; a value is written as it was read."""

    @given(st.binary(max_size=200) | st.builds(damaged, values.map(partial(encode, codec)), damages))
    def check(sent: bytes) -> None:
        with suppress(DecodeError):
            assert sent.startswith(encode(codec, decode(codec, sent)))

    check()


@EACH
def test_json_is_serialisable(codec: Codec[Any], values: st.SearchStrategy[Any]) -> None:
    """Every message has a JSON form that comes back the same."""

    @given(values)
    def check(value: Any) -> None:
        form = codec.to_json(value)
        assert json.loads(json.dumps(form)) == form

    check()


# The shapes were taken from the published daemons, asked with ``Accept: application/json``.
@pytest.mark.parametrize(
    ("codec", "value", "form"),
    [
        (m.SCHEDULER_STATUS, m.SchedulerStatus(1, 2, 0), '{"num_servers":1,"num_cpus":2,"in_progress":0}'),
        (
            m.SERVER_CERTIFICATE,
            m.ServerCertificate(b"\xee\xb4", b"--"),
            '{"cert_digest":[238,180],"cert_pem":[45,45]}',
        ),
        (m.HEARTBEAT_RESULT, m.HeartbeatResult(is_new=True), '{"is_new":true}'),
        (
            m.ALLOC_JOB_RESPONSE,
            m.AllocJobSuccess(m.JobAlloc("a.b.c", m.JobId(7), ServerId.parse("127.0.0.1:21501")), True, b"\x01"),
            '{"Success":{"job_alloc":{"auth":"a.b.c","job_id":7,"server_id":"127.0.0.1:21501"},'
            '"need_toolchain":true,"cert_digest":[1]}}',
        ),
        (m.ALLOC_JOB_RESPONSE, m.AllocJobFail("no room"), '{"Fail":{"msg":"no room"}}'),
        (
            m.ASSIGN_JOB_RESULT,
            m.AssignJobResult(m.JobState.READY, False),
            '{"state":"Ready","need_toolchain":false}',
        ),
        (m.UPDATE_JOB_STATE_RESULT, m.UpdateJobStateSuccess(), '"Success"'),
        (m.UPDATE_JOB_STATE_RESULT, m.UpdateJobStateFail("no"), '{"Fail":{"msg":"no"}}'),
        (m.SUBMIT_TOOLCHAIN_RESULT, m.SubmitToolchainResult.SUCCESS, '"Success"'),
        (m.SUBMIT_TOOLCHAIN_RESULT, m.SubmitToolchainResult.JOB_NOT_FOUND, '"JobNotFound"'),
        (m.SUBMIT_TOOLCHAIN_RESULT, m.SubmitToolchainResult.CANNOT_CACHE, '"CannotCache"'),
        (m.RUN_JOB_RESULT, m.JobNotFound(), '"JobNotFound"'),
        (
            m.RUN_JOB_RESULT,
            m.JobComplete(m.ProcessOutput(0, b"h\xc3\xa4\n", b"e\n"), (("out.o", m.OutputData(b"\x78\x01", 2)),)),
            '{"Complete":{"output":{"code":0,"stdout":[104,195,164,10],"stderr":[101,10]},'
            '"outputs":[["out.o",[[120,1],2]]]}}',
        ),
    ],
)
def test_json_form(codec: Codec[Any], value: Any, form: str) -> None:
    """Who asks for JSON gets the text that the published daemons give."""
    assert json.dumps(codec.to_json(value), separators=(",", ":")) == form


@pytest.mark.parametrize(
    ("codec", "value", "data"),
    [
        (m.JOB_STATE, m.JobState.PENDING, "00000000"),
        (m.UPDATE_JOB_STATE_RESULT, m.UpdateJobStateFail("no"), "010000000200000000000000" + b"no".hex()),
        (m.SUBMIT_TOOLCHAIN_RESULT, m.SubmitToolchainResult.JOB_NOT_FOUND, "01000000"),
        (m.SUBMIT_TOOLCHAIN_RESULT, m.SubmitToolchainResult.CANNOT_CACHE, "02000000"),
    ],
)
def test_what_was_not_recorded(codec: Codec[Any], value: Any, data: str) -> None:
    """The variants that no recorded exchange holds have the bytes that the protocol's table gives them."""
    assert encode(codec, value) == bytes.fromhex(data)
    assert decode(codec, bytes.fromhex(data)) == value


def test_secrets_are_not_shown() -> None:
    """A job token or a job key that gets into a log by way of a message's repr is not readable there."""
    alloc = m.JobAlloc("secret", m.JobId(1), ServerId.parse("[::1]:1"))
    assert "secret" not in repr(m.AllocJobSuccess(alloc, True, b""))
    assert "secret" not in repr(m.Heartbeat(b"secret", 1, 1, b"", b""))
