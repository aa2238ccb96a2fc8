"""Every message of the protocol: a value, and its codec under the same name in capitals.

The order of the fields is the order of the wire ("Bytes" in ``doc/protocol``). What a message means, and
whether it is true, is decided elsewhere.
"""

from enum import Enum
from typing import NewType, TypeAlias

import attrs

from sccachedist.wire.addresses import SERVER_ID, ServerId
from sccachedist.wire.bincode import (
    BOOL,
    I32,
    OCTETS,
    TEXT,
    U64,
    Codec,
    choice,
    enumeration,
    octets,
    pair,
    sequence,
    struct,
    tuple_struct,
)

#: The number that the scheduler gives to a job: 64 bits.
JobId = NewType("JobId", int)


@attrs.frozen
class Toolchain:
    """The toolchain that a client wants to compile with.

    ``archive_id`` is what the peer sent: :func:`sccachedist.wire.archive_id.archive_id` checks it.
    """

    archive_id: str


TOOLCHAIN = struct(Toolchain, archive_id=TEXT)


class JobState(Enum):
    """The state of a job, as build servers report it."""

    PENDING = "Pending"
    READY = "Ready"
    STARTED = "Started"
    COMPLETE = "Complete"


JOB_STATE = enumeration(JobState)


@attrs.frozen
class JobAlloc:
    """A slot for one compile, and the job token that opens it."""

    auth: str = attrs.field(repr=False)
    job_id: JobId
    server_id: ServerId


JOB_ALLOC = struct(JobAlloc, auth=TEXT, job_id=U64, server_id=SERVER_ID)


@attrs.frozen
class AllocJobSuccess:
    """The client may send its job; the build server's certificate has this SHA-256 digest."""

    job_alloc: JobAlloc
    need_toolchain: bool
    cert_digest: bytes


@attrs.frozen
class AllocJobFail:
    """The client has to compile locally, and may tell its user why."""

    msg: str


AllocJobResponse: TypeAlias = AllocJobSuccess | AllocJobFail
ALLOC_JOB_RESPONSE: Codec[AllocJobResponse] = choice(
    Success=struct(AllocJobSuccess, job_alloc=JOB_ALLOC, need_toolchain=BOOL, cert_digest=OCTETS),
    Fail=struct(AllocJobFail, msg=TEXT),
)


@attrs.frozen
class ServerCertificate:
    """A build server's certificate: the SHA-256 of its DER form, and its PEM form."""

    cert_digest: bytes
    cert_pem: bytes


SERVER_CERTIFICATE = struct(ServerCertificate, cert_digest=OCTETS, cert_pem=OCTETS)


@attrs.frozen
class Heartbeat:
    """A build server's report on itself. ``jwt_key`` signs its jobs' tokens; a new nonce means a new server."""

    jwt_key: bytes = attrs.field(repr=False)
    num_cpus: int
    server_nonce: int
    cert_digest: bytes
    cert_pem: bytes


#: The most bytes of a key that signs job tokens, of a digest, and of a certificate in PEM; published programs send 32,
#: 32 and some 1,200.
_MOST_KEY, _MOST_DIGEST, _MOST_PEM = 1024, 64, 16_384

HEARTBEAT = struct(
    Heartbeat,
    jwt_key=octets(_MOST_KEY),
    num_cpus=U64,
    server_nonce=U64,
    cert_digest=octets(_MOST_DIGEST),
    cert_pem=octets(_MOST_PEM),
)


def job_capacity(num_cpus: int) -> int:
    """How many jobs a build server gets at a time: a few more than its CPUs, to make up for network and disk."""
    return num_cpus + 1 + num_cpus // 8


@attrs.frozen
class HeartbeatResult:
    """The answer to a heartbeat: ``is_new`` if the scheduler did not know the build server before."""

    is_new: bool


HEARTBEAT_RESULT = struct(HeartbeatResult, is_new=BOOL)


@attrs.frozen
class UpdateJobStateSuccess:
    """The scheduler has noted a job's state."""


@attrs.frozen
class UpdateJobStateFail:
    """The scheduler has not noted a job's state."""

    msg: str


UpdateJobStateResult: TypeAlias = UpdateJobStateSuccess | UpdateJobStateFail
UPDATE_JOB_STATE_RESULT: Codec[UpdateJobStateResult] = choice(
    Success=struct(UpdateJobStateSuccess),
    Fail=struct(UpdateJobStateFail, msg=TEXT),
)


@attrs.frozen
class SchedulerStatus:
    """The farm in three numbers."""

    num_servers: int
    num_cpus: int
    in_progress: int


SCHEDULER_STATUS = struct(SchedulerStatus, num_servers=U64, num_cpus=U64, in_progress=U64)


@attrs.frozen
class AssignJobResult:
    """A build server has taken a job: Pending if it needs the toolchain, otherwise Ready."""

    state: JobState
    need_toolchain: bool


ASSIGN_JOB_RESULT = struct(AssignJobResult, state=JOB_STATE, need_toolchain=BOOL)


class SubmitToolchainResult(Enum):
    """What happened to an uploaded toolchain."""

    SUCCESS = "Success"
    JOB_NOT_FOUND = "JobNotFound"
    CANNOT_CACHE = "CannotCache"


SUBMIT_TOOLCHAIN_RESULT = enumeration(SubmitToolchainResult)


@attrs.frozen
class CompileCommand:
    """What to run; ``env_vars`` are pairs of name and value."""

    executable: str
    arguments: tuple[str, ...]
    env_vars: tuple[tuple[str, str], ...]
    cwd: str


COMPILE_COMMAND = struct(
    CompileCommand, executable=TEXT, arguments=sequence(TEXT), env_vars=sequence(pair(TEXT, TEXT)), cwd=TEXT
)


@attrs.frozen
class RunJobRequest:
    """What to run, and the paths of the files that it should produce."""

    command: CompileCommand
    outputs: tuple[str, ...]


RUN_JOB_REQUEST = struct(RunJobRequest, command=COMPILE_COMMAND, outputs=sequence(TEXT))


@attrs.frozen
class ProcessOutput:
    """How the compiler ended. A client reads ``code`` as "What decides the fate" in ``doc/protocol`` describes."""

    code: int
    stdout: bytes
    stderr: bytes


PROCESS_OUTPUT = struct(ProcessOutput, code=I32, stdout=OCTETS, stderr=OCTETS)


@attrs.frozen
class OutputData:
    """A file that a compile produced: a zlib stream, and the number of bytes that it inflates to."""

    compressed: bytes
    length: int


OUTPUT_DATA = tuple_struct(OutputData, compressed=OCTETS, length=U64)


@attrs.frozen
class JobNotFound:
    """The build server cannot run this job: the client has to compile locally."""


@attrs.frozen
class JobComplete:
    """The compiler has run; ``outputs`` are pairs of the requested name and the file."""

    output: ProcessOutput
    outputs: tuple[tuple[str, OutputData], ...]


RunJobResult: TypeAlias = JobNotFound | JobComplete
RUN_JOB_RESULT: Codec[RunJobResult] = choice(
    JobNotFound=struct(JobNotFound),
    Complete=struct(JobComplete, output=PROCESS_OUTPUT, outputs=sequence(pair(TEXT, OUTPUT_DATA))),
)
