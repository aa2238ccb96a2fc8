"""A builder on sandbox workers without processes: a test sees who is asked for what, and answers."""

import io
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sccachedist.builders.disk_room import UNBOUNDED
from sccachedist.builders.interface import Builder, BuildJob
from sccachedist.builders.upload_follower import STEP, UploadFollower
from sccachedist.builders.worker_builder import WorkerBuilder
from sccachedist.builders.worker_pool import Program, SandboxWorker
from sccachedist.builders.worker_protocol import (
    ARRIVED,
    FRAME_LENGTH,
    NOTHING,
    REPLY,
    REQUEST,
    Arrived,
    Done,
    RemoveAll,
    Reply,
    Request,
    RunJob,
    Size,
    Sweep,
    UnpackToolchain,
    failed,
    frame,
)
from sccachedist.config import ServerLimits
from sccachedist.wire.archive_id import ArchiveId, archive_id
from sccachedist.wire.bincode import decode, encode
from sccachedist.wire.machines import UNKNOWN
from sccachedist.wire.messages import RUN_JOB_REQUEST, CompileCommand, JobId, RunJobRequest
from sccachedist.wire.usage import NO_USAGE, Usage

TOOLCHAIN, OTHER = archive_id("a" * 64), archive_id("b" * 64)
JOB = BuildJob(
    job_id=JobId(1),
    toolchain=TOOLCHAIN,
    archive=Path("/archive"),
    request=encode(RUN_JOB_REQUEST, RunJobRequest(CompileCommand("cc", (), (), "/"), ())),
    inputs=Path("/inputs"),
    answer=Path("/answer"),
    as_json=False,
)


PROGRAM = Program("a.module", ("an argument",), {"PATH": "/bin"})


class Process(StringTransport):
    """A process that does what the test says."""

    pid = 2**22 + 1  # beyond any real one

    def __init__(self, worker: SandboxWorker, arguments: list[str], environment: dict[str, str]) -> None:
        super().__init__()
        self.worker, self.arguments, self.environment, self.killed = worker, arguments, environment, False
        worker.makeConnection(self)

    def signalProcess(self, signal: str) -> None:  # noqa: N802
        assert signal == "KILL"
        self.killed = True

    def end(self) -> None:
        self.worker.processEnded(Failure(ProcessDone(0)))

    def answers(self, *answers: Reply) -> None:
        self.worker.outReceived(b"".join(frame(encode(REPLY, answer)) for answer in answers))


class Reactor(Clock):
    """Records what is spawned."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[Process] = []

    def spawnProcess(self, worker: Any, executable: str, args: list[str], env: dict[str, str]) -> None:  # noqa: N802
        self.processes.append(Process(worker, args, env))


class Asked(Process):
    """A worker that is ready, what it was asked last, and what it was told since then."""

    sweeps = True

    @property
    def request(self) -> Request | None:
        return decode(REQUEST, self._frames()[0]) if self.value() else None

    def write(self, data: bytes) -> None:
        """Sweeping takes no time, unless a test wants it to."""
        super().write(data)
        if self.sweeps and self.request == Sweep():
            self.ends()

    @property
    def news(self) -> list[Arrived]:
        return [decode(ARRIVED, each) for each in self._frames()[1:]]

    def _frames(self) -> list[bytes]:
        frames, stream = [], io.BytesIO(self.value())
        while header := stream.read(FRAME_LENGTH.size):
            frames.append(stream.read(*FRAME_LENGTH.unpack(header)))
        return frames

    def ends(
        self, error: Exception | None = None, size: Size = NOTHING, usage: Usage = NO_USAGE, machine: int = UNKNOWN
    ) -> None:
        """Answer the request; after an error it is killed."""
        self.clear()
        self.answers(attrs.evolve(failed(error), usage=usage) if error else Done(size, usage, machine))
        if error:
            self.end()


class Host(Reactor):
    """Starts workers that are ready at once."""

    def spawnProcess(self, worker: Any, executable: str, args: list[str], env: dict[str, str]) -> None:  # noqa: N802
        process = Asked(worker, args, env)
        self.processes.append(process)
        process.answers(Done())

    def asked(self, kind: type[Request]) -> Asked:
        """The worker that is asked for this; there has to be one."""
        (found,) = (each for each in self.processes if isinstance(each, Asked) and isinstance(each.request, kind))
        return found

    def requests(self) -> list[type[Request]]:
        """All that is asked for now."""
        return [type(each.request) for each in self.processes if isinstance(each, Asked) and each.request]


async def proof(_: Builder) -> None:
    """Nothing is to be proven."""


class BuilderCase(SynchronousTestCase):
    """One builder, whose workers do what the test says."""

    def setUp(self) -> None:
        self.host = Host()
        self.builder = self.new()

    def new(self, *, reuse: bool = False, follow: bool = False, room: Size = UNBOUNDED) -> WorkerBuilder:
        host: Any = self.host
        return WorkerBuilder(host, PROGRAM, proof, ServerLimits(), 1, 2, room=room, reuse=reuse, follow=follow)

    def following(self) -> UploadFollower:
        """A toolchain that comes in, at a builder that follows, and enough of it that it is worth while."""
        self.builder = self.new(follow=True)
        started = self.doing(self.builder.start())
        self.host.asked(RemoveAll).ends()
        self.successResultOf(started)
        follower = self.builder.follow(TOOLCHAIN, Path("/archive"))
        follower.received(STEP - 1)
        assert self.host.requests() == []
        follower.received(STEP)
        return follower

    def doing(self, work: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(work)

    def unpacked(self) -> Deferred[None]:
        """A job whose toolchain is there."""
        job = self.doing(self.builder.run(JOB))
        self.host.asked(UnpackToolchain).ends()
        return job

    def sandbox(self) -> str:
        request = self.host.asked(RunJob).request
        assert isinstance(request, RunJob)
        return request.sandbox

    def job(self, toolchain: ArchiveId) -> Deferred[None]:
        return self.doing(self.builder.run(attrs.evolve(JOB, toolchain=toolchain)))

    def done(self, toolchain: ArchiveId, size: Size) -> None:
        """A job with a toolchain of that size, from beginning to end."""
        job = self.job(toolchain)
        self.host.asked(UnpackToolchain).ends(size=size)
        self.host.asked(RunJob).ends()
        self.successResultOf(job)
