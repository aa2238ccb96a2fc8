"""What a gateway and its workers tell each other: values and their bytes. Both are programs of this package.

A *worker* dials its *gateway*, a build server whose jobs run elsewhere, and asks it for jobs. A job goes to a worker as
a :class:`WorkerJob` with the client's inputs behind it, and comes back as a :class:`WorkerAnswer` with the result
behind that, if there is one. :class:`HeadReader` separates the two; they may come in pieces of any size. A worker that
brings a small answer asks for the next job with the same request: the response is :class:`Taken`, and the job behind
it if there is one soon.

What follows from a message is decided elsewhere, and so is whether it is true.
"""

from typing import Generic, TypeVar

import attrs

from sccachedist.errors import DecodeError
from sccachedist.outcomes import SentLocal
from sccachedist.policy import OnFailure
from sccachedist.wire.abilities import MOST_MACHINES
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
    octets,
    sequence,
    struct,
)
from sccachedist.wire.messages import JobId
from sccachedist.wire.usage import NO_USAGE, USAGE, Usage

T = TypeVar("T")

#: The most labels of a worker, of toolchains in one report, and of cancelled jobs in one message; the rest follows.
MOST_LABELS, MOST_HELD, MOST_CANCELLED = 64, 512, 4096
#: The most places of a worker: those that it waits at, and those whose jobs it has.
MOST_TOLD_PLACES = 16_384
#: The most bytes of a certificate in PEM with the authorities behind it.
_MOST_PEM = 65_536
#: The most bytes of a :class:`WorkerAnswer`, whose texts come from a compile.
MOST_ANSWER_HEAD = 65_536

_PREFIX = 4


@attrs.frozen
class WorkerHello:
    """A worker's first message. One that comes again by the same way takes the place of its own earlier session.

    :param name: what operators call it, such as its host's name.
    :param nonce: of its process, drawn at random.
    :param way: a number for each address that it dials. A gateway with several hears of the same process by each of
        them, and lets it in by one.
    :param cpus: those that it offers.
    :param slots: how many jobs it runs at a time: a few more than its CPUs.
    :param machines: whose programs it runs, by the numbers of ELF; empty if it does not tell.
    :param toolchains: archive ids that it has, most recently used first.
    """

    name: str
    nonce: int
    cpus: int
    slots: int
    machines: tuple[int, ...]
    labels: tuple[str, ...]
    version: str
    toolchains: tuple[str, ...] = ()
    way: int = 0


@attrs.frozen
class Welcome:
    """The answer to it.

    :param session: 32 hexadecimal digits, in the paths of all further requests of the worker.
    :param ping_secs: after so long, a request for orders is answered even if there are none. A worker that has no such
        request open for that time and :attr:`grace_secs` is lost, and so is a gateway that answers none for as long.
    :param poll_secs: after so long, a request for a job is answered even if there is none.
    :param job_secs: how long a job may run; the gateway waits a little longer for its answer.
    :param certificate: with which the gateway shows itself, in PEM.
    """

    session: str
    ping_secs: int
    grace_secs: int
    poll_secs: int
    job_secs: int
    certificate: bytes = b""


@attrs.frozen
class WorkerState:
    """What a worker says with each request for orders.

    :param cpus: those that it offers; ``slots``: how many jobs it runs at a time. Both are 0 if it takes none for now.
    :param toolchains: archive ids that it has, most recently used first.
    :param places: the numbers of the requests for a job that it still waits for an answer of, or whose jobs it has: an
        answer that is on its way counts. It numbers them from 1 on, and ``last_place`` is the highest so far. With each
        other place up to that, it is through: if it has not brought an answer by now, it never will.
    """

    cpus: int
    slots: int
    toolchains: tuple[str, ...]
    places: tuple[int, ...] = ()
    last_place: int = 0


@attrs.frozen
class WorkerOrders:
    """What a gateway wants of a worker.

    :param cancel: the tickets of jobs to end at once; no answer is due for them.
    :param certificate: with which the gateway shows itself from now on, in PEM; empty if that has not changed.
    """

    cancel: tuple[int, ...] = ()
    certificate: bytes = b""


@attrs.frozen
class WorkerJob:
    """A job for a worker. The client's inputs stand behind it, a zlib stream up to the end of the body.

    :param ticket: the number of this attempt at it, in the path of its answer. No two attempts have the same.
    :param job_id: for logs.
    :param toolchain: its archive id.
    :param request: a ``RunJobRequest`` in bytes, as the client sent it.
    :param as_json: whether the result is JSON instead of bincode.
    :param on_failure: which failed compiles the client has to repeat.
    """

    ticket: int
    job_id: JobId
    toolchain: str
    request: bytes
    as_json: bool
    on_failure: OnFailure


@attrs.frozen
class Built:
    """There is a result: it stands behind this message, a whole ``RunJobResult`` up to the end of the body.

    :param toolchain_ns: nanoseconds in which the toolchain was fetched and unpacked; 0 if it was there.
    """

    usage: Usage
    toolchain_ns: int = 0


@attrs.frozen
class NotBuilt:
    """There is no result that a user may see: the error of a worker that goes on.

    :param reason: which error it was, with its ``kind`` and its text.
    """

    reason: SentLocal
    kind: str
    text: str
    usage: Usage = NO_USAGE
    toolchain_ns: int = 0


@attrs.frozen
class Busy:
    """The worker has not begun with the job, or has given it up for other work of its host: another one gets it."""


WorkerAnswer = Built | NotBuilt | Busy


@attrs.frozen
class Taken:
    """Whether an answer was the one that its job had waited for."""

    counts: bool


_HELD = sequence(TEXT, MOST_HELD)
WORKER_HELLO = struct(
    WorkerHello,
    name=TEXT,
    nonce=U64,
    cpus=U64,
    slots=U64,
    machines=sequence(U16, MOST_MACHINES),
    labels=sequence(TEXT, MOST_LABELS),
    version=TEXT,
    toolchains=_HELD,
    way=U64,
)
WELCOME = struct(
    Welcome,
    session=TEXT,
    ping_secs=U64,
    grace_secs=U64,
    poll_secs=U64,
    job_secs=U64,
    certificate=octets(_MOST_PEM),
)
WORKER_STATE = struct(
    WorkerState,
    cpus=U64,
    slots=U64,
    toolchains=_HELD,
    places=sequence(U64, MOST_TOLD_PLACES),
    last_place=U64,
)
WORKER_ORDERS = struct(WorkerOrders, cancel=sequence(U64, MOST_CANCELLED), certificate=octets(_MOST_PEM))
WORKER_JOB = struct(
    WorkerJob, ticket=U64, job_id=U64, toolchain=TEXT, request=OCTETS, as_json=BOOL, on_failure=enumeration(OnFailure)
)
WORKER_ANSWER: Codec[WorkerAnswer] = choice(
    Built=struct(Built, usage=USAGE, toolchain_ns=U64),
    NotBuilt=struct(NotBuilt, reason=enumeration(SentLocal), kind=TEXT, text=TEXT, usage=USAGE, toolchain_ns=U64),
    Busy=struct(Busy),
)
TAKEN = struct(Taken, counts=BOOL)
#: The most bytes of a :class:`Taken`.
MOST_TAKEN = 16


def head(codec: Codec[T], value: T) -> bytes:
    """A message with its length before it, a little endian ``u32``: what is carried stands behind it."""
    octets = encode(codec, value)
    return len(octets).to_bytes(_PREFIX, "little") + octets


class HeadReader(Generic[T]):
    """Separates the message at the start of a body from what it carries. The body may come in pieces of any size.

    :param limit: the most bytes of the message.
    """

    def __init__(self, codec: Codec[T], limit: int) -> None:
        self._codec, self._limit = codec, limit
        self._kept = bytearray()
        self._value: list[T] = []

    def feed(self, chunk: bytes) -> bytes:
        """Take the next piece of the body; returns those of its bytes that are carried.

        :raises DecodeError: the message is too long, or is none.
        """
        if self._value:
            return chunk
        self._kept += chunk
        if len(self._kept) < _PREFIX:
            return b""
        end = _PREFIX + int.from_bytes(self._kept[:_PREFIX], "little")
        if end - _PREFIX > self._limit:
            raise DecodeError(f"a head of {end - _PREFIX} bytes where {self._limit} are the most")
        if len(self._kept) < end:
            return b""
        self._value.append(decode(self._codec, bytes(self._kept[_PREFIX:end])))
        carried = bytes(self._kept[end:])
        self._kept.clear()
        return carried

    @property
    def is_whole(self) -> bool:
        """Whether the message has come."""
        return bool(self._value)

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all has come."""
        return not self._value and not self._kept

    def finish(self) -> T:
        """The message, once it has come.

        :raises DecodeError: the body ended before it did.
        """
        if not self._value:
            raise DecodeError("the body ends within its head")
        return self._value[0]
