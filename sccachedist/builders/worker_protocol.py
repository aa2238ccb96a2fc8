"""The protocol between a builder and a sandbox worker: frames of bincode through the worker's stdin and stdout.

A frame is a ``u32`` big endian length and that many bytes. The worker sends one answer unasked when it is
ready, and then one for each request. Both ends are of the same release. The requests are the same for every kind of
sandbox; settings of one kind are arguments of its worker's program.

Second of four stations of an error on its way to a status: :mod:`sccachedist.sandbox.result.outcome` raises it in the
worker, :func:`failed` and :func:`raised` carry it across, :mod:`sccachedist.server.job_runner` takes it, and
:mod:`sccachedist.web.responses` has the status.
"""

import struct as layout
from collections.abc import Callable
from functools import cached_property
from typing import BinaryIO, TypeVar, cast

import attrs

from sccachedist.errors import (
    BuildError,
    CompileFailed,
    DiskError,
    DiskFull,
    ForeignToolchain,
    LimitExceeded,
    SccachedistError,
    ToolchainError,
)
from sccachedist.outcomes import SentLocal, Suspicion
from sccachedist.policy import OnFailure
from sccachedist.wire.bincode import (
    BOOL,
    OCTETS,
    TEXT,
    U16,
    U64,
    Codec,
    choice,
    decode,
    encode,
    enumeration,
    numbers,
    struct,
)
from sccachedist.wire.machines import UNKNOWN
from sccachedist.wire.messages import RUN_JOB_REQUEST, CompileCommand, RunJobRequest
from sccachedist.wire.usage import NO_USAGE, USAGE, Usage

T = TypeVar("T")

FRAME_LENGTH = layout.Struct(">I")

#: How the names of sandboxes begin: as the published builders name their containers.
SANDBOX_PREFIX = "sccache-builder-"

_LONGEST_TEXT = 2000  # characters: names in it come from clients and may be of any length


@attrs.frozen
class Size:
    """What something takes on a disk; while it is unpacked, replaced files count too."""

    bytes: int = 0
    inodes: int = 0


NOTHING = Size()


@attrs.frozen
class Unpacked:
    """What an unpacked toolchain takes on a disk, and which machine it needs (:mod:`sccachedist.wire.machines`)."""

    size: Size = NOTHING
    machine: int = UNKNOWN


#: Called now and then with the size of what is being unpacked.
Grown = Callable[[Size], None]


#: Called with what a job took.
Used = Callable[[Usage], None]


def unheard(_: Size | Usage) -> None:
    """Ignore what is told."""


@attrs.frozen
class JobLimits:
    """The limits of one job, each named as its key under ``[limits]``; ``scratch_bytes`` is under ``[sandbox]``.

    A new limit of a job is a field here and a key there: :func:`limits_from` brings it to the workers.
    """

    inputs_unpacked_bytes: int
    inputs_entries: int
    compression_ratio: int
    path_bytes: int
    path_depth: int
    output_bytes: int
    outputs_bytes: int
    stdio_bytes: int
    scratch_bytes: int
    job_memory_bytes: int
    job_processes: int


@attrs.frozen
class Priority:
    """How jobs stand beside other programs where CPUs are short.

    :param nice: the nice value.
    :param yields: whether they get only what others leave.
    """

    nice: int = 0
    yields: bool = False


USUAL = Priority()


@attrs.frozen
class UnpackLimits:
    """The limits of a toolchain's archive, named as their keys under ``[limits]``."""

    toolchain_unpacked_bytes: int
    toolchain_entries: int
    compression_ratio: int
    path_bytes: int
    path_depth: int


def limits_from(settings: object, kind: Callable[..., T], **others: int) -> T:
    """Make limits of a kind from the settings that have their names.

    :param others: those limits that are no attributes of ``settings``.
    """
    names = {field.name for field in attrs.fields(cast(type[attrs.AttrsInstance], kind))} - others.keys()
    return kind(**{name: getattr(settings, name) for name in names}, **others)


@attrs.frozen(slots=False)
class RunJob:
    """Run a compile and write its answer.

    ``toolchain`` names an unpacked toolchain, ``sandbox`` the sandbox, if this kind has names; paths are absolute.
    ``request`` is what the client sent; only the worker decodes it.
    """

    toolchain: str
    sandbox: str
    request: bytes
    inputs: str
    answer: str
    as_json: bool
    on_failure: OnFailure
    limits: JobLimits

    @property
    def command(self) -> CompileCommand:
        """What to run.

        :raises DecodeError: the client's request is damaged.
        """
        return self._decoded.command

    @property
    def outputs(self) -> tuple[str, ...]:
        """The files to bring back, absolute or relative to the command's ``cwd``."""
        return self._decoded.outputs

    @cached_property
    def _decoded(self) -> RunJobRequest:
        return decode(RUN_JOB_REQUEST, self.request)


@attrs.frozen
class UnpackToolchain:
    """Unpack an archive under the name ``toolchain``."""

    toolchain: str
    archive: str
    limits: UnpackLimits


@attrs.frozen
class FollowToolchain:
    """Unpack an archive during its upload; frames of :class:`Arrived` follow until it is whole."""

    unpacking: UnpackToolchain


@attrs.frozen
class Arrived:
    """How much of a followed archive is there: ``size`` bytes; ``whole``: it is complete and has its archive id."""

    size: int
    whole: bool


@attrs.frozen
class RemoveToolchain:
    """Remove an unpacked toolchain, or what a killed worker has unpacked of it."""

    toolchain: str


@attrs.frozen
class RemoveSandbox:
    """Remove what an interrupted job has left, its processes too."""

    sandbox: str


@attrs.frozen
class RemoveAll:
    """Have every toolchain and sandbox that was made before be in no way. It is quick; a :class:`Sweep` frees them."""


@attrs.frozen
class Sweep:
    """Free what all that was removed takes. It may take long, so it runs in the background."""


@attrs.frozen
class Growing:
    """The size so far of what is being unpacked; the answer comes later."""

    size: Size


@attrs.frozen
class Done:
    """The request is done.

    :param size: of what was unpacked, if the request was to unpack.
    :param usage: what the job took, if the request was to run one.
    :param machine: which one the toolchain needs that was unpacked.
    """

    size: Size = NOTHING
    usage: Usage = NO_USAGE
    machine: int = UNKNOWN


@attrs.frozen
class Failed:
    """The request failed.

    :param reason: which error it was, see :func:`raised`; ``kind`` is that of the error.
    :param usage: what the job took until then, if the request was to run one.
    """

    reason: SentLocal
    text: str
    kind: str = ""
    usage: Usage = NO_USAGE


Request = RunJob | UnpackToolchain | FollowToolchain | RemoveToolchain | RemoveSandbox | RemoveAll | Sweep
Reply = Done | Failed | Growing

_UNPACKING = struct(UnpackToolchain, toolchain=TEXT, archive=TEXT, limits=numbers(UnpackLimits))
REQUEST: Codec[Request] = choice(
    RunJob=struct(
        RunJob,
        toolchain=TEXT,
        sandbox=TEXT,
        request=OCTETS,
        inputs=TEXT,
        answer=TEXT,
        as_json=BOOL,
        on_failure=enumeration(OnFailure),
        limits=numbers(JobLimits),
    ),
    UnpackToolchain=_UNPACKING,
    FollowToolchain=struct(FollowToolchain, unpacking=_UNPACKING),
    RemoveToolchain=struct(RemoveToolchain, toolchain=TEXT),
    RemoveSandbox=struct(RemoveSandbox, sandbox=TEXT),
    RemoveAll=struct(RemoveAll),
    Sweep=struct(Sweep),
)
ARRIVED: Codec[Arrived] = struct(Arrived, size=U64, whole=BOOL)
_SIZE = struct(Size, bytes=U64, inodes=U64)
REPLY: Codec[Reply] = choice(
    Done=struct(Done, size=_SIZE, usage=USAGE, machine=U16),
    Failed=struct(Failed, reason=enumeration(SentLocal), text=TEXT, kind=TEXT, usage=USAGE),
    Growing=struct(Growing, size=_SIZE),
)


def frame(data: bytes) -> bytes:
    """Put the length before a message."""
    return FRAME_LENGTH.pack(len(data)) + data


def read_frame(stream: BinaryIO) -> bytes | None:
    """Read a message with its length before it; None at the end of the stream."""
    if not (header := stream.read(FRAME_LENGTH.size)):
        return None
    (size,) = FRAME_LENGTH.unpack(header)
    return stream.read(size)


def request_frame(request: Request) -> bytes:
    """Encode a request."""
    return frame(encode(REQUEST, request))


def failed(error: Exception) -> Failed:
    """Turn an error into an answer; one from outside this package means that the sandbox broke."""
    text = (error.reason if isinstance(error, LimitExceeded) else str(error))[:_LONGEST_TEXT]
    if isinstance(error, SccachedistError) and error.sent_local is not None:
        return Failed(error.sent_local, text, error.kind)
    return Failed(SentLocal.SANDBOX, text)


def raised(failure: Failed) -> SccachedistError:
    """Turn such an answer back into the error that :func:`failed` got; one that has no class here, a ``BuildError``."""
    match failure.reason:
        case SentLocal.LIMIT:
            return LimitExceeded(failure.kind, failure.text)
        case SentLocal.TOOLCHAIN:
            return ToolchainError(failure.text)
        case SentLocal.MACHINE:
            return ForeignToolchain(failure.kind, failure.text)
        case SentLocal.SUSPICIOUS:
            return CompileFailed(_SUSPICIONS[failure.kind], failure.text)
        case SentLocal.DISK:
            return (DiskFull if failure.kind == DiskFull.kind else DiskError)(failure.text)
        case _:
            return BuildError(failure.reason, failure.text)


_SUSPICIONS = {kind.word: kind for kind in Suspicion}
