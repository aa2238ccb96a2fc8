"""The body of a run_job: the command in memory, the inputs in a file."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

import attrs
import pytest

from farmkit.memory_http import cuts
from sccachedist.budgets import Budget, Hold, Party
from sccachedist.config import ServerLimits
from sccachedist.errors import DecodeError, DiskError, LimitExceeded, StaysHome
from sccachedist.server.inputs import JUDGED_BYTES, JUDGED_TEXTS, InputsSpool
from sccachedist.web.request_head import Head
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import RUN_JOB_REQUEST, CompileCommand, RunJobRequest
from sccachedist.wire.run_job_frame import frame
from tests.support.broken_disks import NUMBERS, break_files, failing

REQUEST = RunJobRequest(CompileCommand("/bin/cc", ("-c",), (("A", "b"),), "/"), ("/x.o",))
INPUTS = b"not looked at"
BODY = frame(REQUEST, INPUTS)
LIMITS = ServerLimits(outputs=1, command_bytes=1000, inputs_bytes=len(INPUTS))


def head(length: int | None = None, **headers: str) -> Head:
    return Head("POST", "/", {"content-type": "application/octet-stream", **headers}, "127.0.0.1", length)


def spool(directory: Path, length: int | None = None, **headers: str) -> InputsSpool:
    return InputsSpool(head(length, **headers), directory, LIMITS, *holds(), lambda _: None)


def holds(memory: int = 1 << 20, disk: int = 1 << 20) -> tuple[Hold, Hold]:
    """What a job may take."""
    someone = Party("somebody")
    return Budget("buffered_bytes", memory).open(someone), Budget("spool_bytes", disk).open(someone)


def test_spooled(tmp_path: Path) -> None:
    """The command is read and the inputs are stored as they came, however the network cut them up."""
    for pieces in (*cuts(BODY), [BODY[at : at + 1] for at in range(len(BODY))]):
        body = spool(tmp_path, len(BODY))
        for piece in pieces:
            body.write(piece)
        received = body.complete()
        body.abort()
        assert (received.request, received.inputs.read_bytes(), received.as_json) == (
            encode(RUN_JOB_REQUEST, REQUEST),
            INPUTS,
            False,
        )
        received.inputs.unlink()
    assert list(tmp_path.iterdir()) == []


def receive(body: InputsSpool, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        body.write(piece)


def test_judged_before_the_inputs_come(tmp_path: Path) -> None:
    """A command that is not run here takes no place: it is looked at once, and nothing behind it is stored."""
    judged: list[RunJobRequest] = []

    def judge(request: RunJobRequest) -> None:
        judged.append(request)
        raise StaysHome("it is for another machine")

    for tried, pieces in enumerate(cuts(BODY), start=1):
        body = InputsSpool(head(), tmp_path, LIMITS, *holds(), lambda _: None, judge)
        with pytest.raises(StaysHome):
            receive(body, pieces)
        assert [file.stat().st_size for file in tmp_path.iterdir()] == [0]
        body.abort()
        assert judged == [REQUEST] * tried
    assert list(tmp_path.iterdir()) == []


def with_variables(count: int, size: int) -> RunJobRequest:
    """A request with so many variables, each with a value of this size."""
    variables = tuple((f"V{number}", "x" * size) for number in range(count))
    return attrs.evolve(REQUEST, command=attrs.evolve(REQUEST.command, env_vars=variables))


LONG_AND_MANY = with_variables(JUDGED_TEXTS // 2 + 1, JUDGED_BYTES // JUDGED_TEXTS * 2)


@pytest.mark.parametrize(
    ("request_", "is_judged"),
    [
        (LONG_AND_MANY, False),
        (with_variables(2, JUDGED_BYTES), True),
        (with_variables(JUDGED_TEXTS // 2 + 1, 0), True),
        (attrs.evolve(REQUEST, outputs=()), False),
    ],
    ids=["long, and many", "long", "many", "no text"],
)
def test_not_judged(tmp_path: Path, request_: RunJobRequest, is_judged: bool) -> None:
    """What is long and of many texts, or no text, is left to the sandbox worker."""
    octets = frame(request_, INPUTS).replace(b"/bin/cc", b"/bin/c\xff" if not request_.outputs else b"/bin/cc")
    judged: list[RunJobRequest] = []
    body = InputsSpool(head(), tmp_path, ServerLimits(), *holds(2 << 20), lambda _: None, judged.append)
    body.write(octets)
    body.complete()
    assert judged == ([request_] if is_judged else [])


def test_for_the_owner_only(tmp_path: Path) -> None:
    """Nobody else on the machine can read what is compiled."""
    body = spool(tmp_path)
    (stored,) = tmp_path.iterdir()
    assert stored.stat().st_mode & 0o777 == 0o600
    body.abort()


def test_json_is_remembered(tmp_path: Path) -> None:
    """The builder has to know in which form the answer is wanted."""
    body = spool(tmp_path, accept="application/json")
    body.write(BODY)
    assert body.complete().as_json


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (BODY + b"x", LimitExceeded),
        ((1001).to_bytes(4, "big"), LimitExceeded),
        (b"\xff" * 40, LimitExceeded),
        (frame(attrs.evolve(REQUEST, outputs=("/x.o", "/y.o")), b""), LimitExceeded),
        (b"\0\0\0\x04abcd", DecodeError),
        (b"", DecodeError),
        (BODY[: -len(INPUTS) - 1], DecodeError),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_refused(tmp_path: Path, sent: bytes, error: type[Exception], size: int) -> None:
    """Nothing is kept of what is too large, is no command, or ends within it."""
    body = spool(tmp_path)

    def receive() -> None:
        for start in range(0, len(sent), size):
            body.write(sent[start : start + size])
        body.complete()

    with pytest.raises(error):
        receive()
    body.abort()
    body.abort()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("length", "headers", "error"),
    [
        (LIMITS.command_bytes + LIMITS.inputs_bytes + 1, {}, LimitExceeded),
        (10, {"content-type": "text/plain"}, DecodeError),
    ],
)
def test_refused_at_the_headers(tmp_path: Path, length: int, headers: dict[str, str], error: type[Exception]) -> None:
    """What is announced as too large, or as something else, gets no file."""
    with pytest.raises(error):
        spool(tmp_path, length, **headers)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes a part of what comes has failed: half of the inputs are never used."""
    break_files(monkeypatch, errno.ENOSPC, taken=len(INPUTS) - 1)
    body = spool(tmp_path, len(BODY))
    with pytest.raises(DiskError, match="No space left on device"):
        body.write(BODY)
    body.abort()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", NUMBERS)
def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """What the system says is told with the name of the directory, and nothing is kept."""
    break_files(monkeypatch, number)
    body = spool(tmp_path, len(BODY))
    with pytest.raises(DiskError, match=f"{tmp_path}: {os.strerror(number)}"):
        body.write(BODY)
    body.abort()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", NUMBERS)
def test_a_disk_that_makes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The request is refused at its headers."""
    monkeypatch.setattr("sccachedist.files.FileIO", failing(number))
    with pytest.raises(DiskError, match=f"{tmp_path}: {os.strerror(number)}"):
        spool(tmp_path)


def test_a_disk_that_removes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was given up is over all the same."""
    given_up: list[BaseException | None] = []
    body = InputsSpool(head(), tmp_path, LIMITS, *holds(), given_up.append)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", failing(errno.EROFS))
        body.abort()
    body.abort()
    assert given_up == [None]


def test_a_directory_that_has_vanished(tmp_path: Path) -> None:
    """It is made again, and is its owner's file's."""
    body = spool(tmp_path / "gone" / "spool")
    body.write(BODY)
    assert body.complete().inputs.read_bytes() == INPUTS


def test_charged(tmp_path: Path) -> None:
    """The command counts in memory and the inputs on the disk, as they come."""
    memory, room = holds()
    body = InputsSpool(head(), tmp_path, LIMITS, memory, room, lambda _: None)
    body.write(BODY[:3])
    body.write(BODY[3:-4])
    assert (memory.amount, room.amount) == (len(BODY) - len(INPUTS), len(INPUTS) - 4)
    body.write(BODY[-4:])
    assert body.complete().room.amount == len(INPUTS)


@pytest.mark.parametrize(("memory", "disk", "key"), [(50, 1000, "buffered_bytes"), (1000, 20, "spool_bytes")])
def test_too_much_of_all_together(tmp_path: Path, memory: int, disk: int, key: str) -> None:
    """What does not fit beside what others have is refused while it comes."""
    body = InputsSpool(head(), tmp_path, LIMITS, *holds(memory, disk), lambda _: None)
    with pytest.raises(LimitExceeded, match=key):
        body.write(BODY)
    body.abort()
    assert list(tmp_path.iterdir()) == []
