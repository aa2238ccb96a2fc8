"""What the daemon and its sandbox workers tell each other, in bytes."""

import attrs
import pytest

from sccachedist.builders.worker_protocol import (
    REPLY,
    REQUEST,
    Done,
    Failed,
    FollowToolchain,
    JobLimits,
    RemoveAll,
    RemoveSandbox,
    RemoveToolchain,
    Request,
    RunJob,
    Size,
    Sweep,
    UnpackLimits,
    UnpackToolchain,
    failed,
    limits_from,
    raised,
)
from sccachedist.config import ServerLimits
from sccachedist.errors import (
    BuildError,
    CompileFailed,
    DecodeError,
    DiskError,
    DiskFull,
    LimitExceeded,
    ToolchainError,
)
from sccachedist.outcomes import SentLocal, Suspicion
from sccachedist.policy import OnFailure
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.messages import RUN_JOB_REQUEST, CompileCommand, RunJobRequest
from sccachedist.wire.usage import Usage

NAMES = CompileCommand("e", ("a",), (("n", "v"),), "/")
LIMITS = JobLimits(*range(len(attrs.fields(JobLimits))))
UNPACKING = UnpackLimits(*range(len(attrs.fields(UnpackLimits))))
REQUESTS: list[Request] = [
    RunJob("t", "s", encode(RUN_JOB_REQUEST, RunJobRequest(NAMES, ("o",))), "/i", "/a", True, OnFailure.VERIFY, LIMITS),
    UnpackToolchain("t", "/archive", UNPACKING),
    FollowToolchain(UnpackToolchain("t", "/archive", UNPACKING)),
    RemoveToolchain("t"),
    RemoveSandbox("s"),
    RemoveAll(),
    Sweep(),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_requests_arrive_as_they_were_sent(request_: Request) -> None:
    """Both ends agree."""
    assert decode(REQUEST, encode(REQUEST, request_)) == request_


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (LimitExceeded("stdio_bytes", "too much"), LimitExceeded),
        (ToolchainError("bad"), ToolchainError),
        (BuildError(SentLocal.SANDBOX, "wrong"), BuildError),
        (CompileFailed(Suspicion.VERIFY, "a mistake"), CompileFailed),
        (CompileFailed(Suspicion.NO_MEMORY, "no memory"), CompileFailed),
        (DecodeError("bad inputs"), BuildError),
        (OSError(28, "No space left"), BuildError),
        (BuildError(SentLocal.SIGNAL, "killed"), BuildError),
        (DiskFull("the disk of /build: no space left"), DiskFull),
        (DiskError("the disk of /build: broken"), DiskError),
    ],
)
def test_errors_arrive_as_they_were_raised(error: Exception, kind: type[Exception]) -> None:
    """A failure in a worker is the same failure here, for the same reason; another error means a broken sandbox."""
    answer = decode(REPLY, encode(REPLY, failed(error)))
    assert isinstance(answer, Failed)
    again = raised(answer)
    assert (type(again), str(again)) == (kind, str(error))
    assert again.routine == getattr(error, "routine", False)
    assert again.sent_local is getattr(error, "sent_local", SentLocal.SANDBOX)
    assert again.kind == getattr(error, "kind", "")


def test_what_a_job_took_arrives() -> None:
    """With its answer and with its failure."""
    usage = Usage(run_ns=5, prewarmed=True)
    for answer in (
        Done(Size(1, 2), usage),
        attrs.evolve(failed(LimitExceeded("stdio_bytes", "too much")), usage=usage),
    ):
        assert decode(REPLY, encode(REPLY, answer)) == answer


@pytest.mark.parametrize(("kind", "others"), [(JobLimits, {"scratch_bytes"}), (UnpackLimits, set[str]())])
def test_limits_have_their_keys_names(kind: type[JobLimits] | type[UnpackLimits], others: set[str]) -> None:
    """Each limit that a worker is told is the key of that name, whichever limits there are; no other needs an edit."""
    keys = [field.name for field in attrs.fields(ServerLimits)]
    settings = ServerLimits(**{name: 1000 + number for number, name in enumerate(keys)})
    names = {field.name for field in attrs.fields(kind)}
    assert names - set(keys) == others
    told = limits_from(settings, kind, **dict.fromkeys(others, 7))
    expected = {name: getattr(settings, name) for name in names - others} | dict.fromkeys(others, 7)
    assert {name: getattr(told, name) for name in names} == expected
