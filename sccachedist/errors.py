"""The tree of errors.

One root, and a leaf for each case that a caller treats differently. :mod:`sccachedist.web.responses` decides what an
error that leaves a route becomes on the wire. This module knows nothing of HTTP nor of Twisted.

An error that can end a job knows why the job has no result: the word is set where the error is raised, so that it need
not be guessed from the text.
"""

from datetime import UTC, datetime

from sccachedist.outcomes import Lack, Refusal, SentLocal, Suspicion


class SccachedistError(Exception):
    """The root of every error that this package raises on purpose. Its text never holds a secret."""

    #: Whether it happens in normal operation: then it is logged at ``debug`` only.
    routine = False
    #: Why a job that ends with it has no result; None if no job does.
    sent_local: SentLocal | None = None
    #: What there is to say of that reason in a word, see :class:`~sccachedist.wire.job_summary.JobSummary`.
    kind = ""


class ConfigError(SccachedistError):
    """A configuration file cannot be used: the text names the file, the key and what was expected."""


class OtherRoleError(ConfigError):
    """A configuration file is the other role's."""


class DecodeError(SccachedistError):
    """Bytes or text from a peer are not what the protocol says they are: the peer's fault."""

    sent_local = SentLocal.INPUTS


class Refused(SccachedistError):
    """A peer may not do what it asked for.

    :param challenge: the ``error`` of the ``WWW-Authenticate: Bearer`` answer, e.g. ``invalid_jwt``.
    """

    def __init__(self, challenge: str, reason: str) -> None:
        super().__init__(reason)
        self.challenge = challenge


class ClientRefused(Refused):
    """A client's token is missing or wrong: the one refusal that may fail a user's compile."""


class ClientTokenEnded(ClientRefused):
    """A token of a client with a name was good until some time: its builds have to go on, without the farm.

    :mod:`sccachedist.scheduler.routes` answers a request for a slot so that it does; anywhere else this is a 401.

    :param client: the name.
    :param until: in seconds since 1970.
    """

    def __init__(self, client: str, until: float) -> None:
        day = datetime.fromtimestamp(until, UTC).date()
        said = f"the token of {client} ended on {day}: ask an administrator of this farm for a new one"
        super().__init__("bearer_auth_failed", said)
        self.client = client


class Forbidden(SccachedistError):
    """It is known who asks, and that one may not do this."""


class AuthUnavailable(SccachedistError):
    """A client's token cannot be checked, because the service that knows the answer does not respond."""


class NoLeader(SccachedistError):
    """A scheduler does not decide, and knows none that does, or gets no answer of it."""


class DecidedElsewhere(SccachedistError):
    """A scheduler decides no longer, so another one has to answer what it was asked."""


class PeerRefused(Refused):
    """A build server's token is refused, or a job token that was never issued."""


class ServerRevoked(PeerRefused):
    """A build server's token is good, and the scheduler's operator lets that one in no longer."""

    def __init__(self, reason: str) -> None:
        super().__init__("invalid_bearer_token", reason)


class AmbiguousRequest(SccachedistError):
    """A request says twice what it may say once, so that the right value cannot be known."""


class SessionOver(SccachedistError):
    """A worker's session at its gateway is over, or never was: the worker has to begin another one."""


class StaleToken(SccachedistError):
    """A job token is well formed but not signed with the current key, perhaps because an earlier key was lost."""

    sent_local = SentLocal.STALE_TOKEN


class LimitExceeded(SccachedistError):
    """Something is larger, longer or more than a limit allows.

    :param limit: the key of the limit under ``[limits]``, or the dotted key of one that stands elsewhere.
    """

    sent_local = SentLocal.LIMIT

    def __init__(self, limit: str, reason: str) -> None:
        super().__init__(f"{reason} (limit: {limit})")
        self.limit = self.kind = limit
        self.reason = reason


class DiskError(SccachedistError):
    """A disk of this machine is full, broken, read-only or gone: the client has to compile locally."""

    sent_local = SentLocal.DISK


class UntrustedPath(SccachedistError, OSError):
    """Another user of this host could have made or could change a file or directory, so it is not used."""


class DiskFull(DiskError):
    """There is no room on a disk, or no room for one more file."""

    kind = "full"


class UnknownServer(SccachedistError):
    """A build server that the scheduler does not know, or no longer knows."""


class UnknownJob(SccachedistError):
    """A job that does not exist, no longer exists, or is another server's."""

    sent_local = SentLocal.UNKNOWN_JOB


class NoCapacity(SccachedistError):
    """No build server has room for one more job.

    :param refusal: the word for the reason.
    """

    def __init__(self, refusal: Refusal, reason: str) -> None:
        super().__init__(reason)
        self.refusal = refusal


class NoPlace(SccachedistError):
    """A build server already has as many jobs as it takes at a time.

    :param lack: why these are fewer than it has CPUs for; None if they are not.
    """

    sent_local = SentLocal.NO_PLACE

    def __init__(self, reason: str, lack: Lack | None = None) -> None:
        super().__init__(reason)
        self.kind = "" if lack is None else lack.word


class BadTransition(SccachedistError):
    """A job, or a connection, cannot go from the phase that it is in to the one that was asked for."""


class PeerError(SccachedistError):
    """A peer did not answer, answered late, or answered what the protocol does not know.

    :param status: the HTTP status, where the peer answered with another one than 200.
    """

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class BuildError(SccachedistError):
    """A compile produced no result that may be shown to a user: the client has to compile locally."""

    sent_local: SentLocal

    def __init__(self, sent_local: SentLocal, text: str) -> None:
        super().__init__(text)
        self.sent_local = sent_local


class CompileFailed(BuildError):
    """A compile failed on the farm: its client repeats it locally, and the user sees that result.

    It is routine if the compiler's output gives no hint that the farm may be at fault.
    """

    def __init__(self, suspicion: Suspicion, text: str) -> None:
        super().__init__(SentLocal.SUSPICIOUS, text)
        self.kind, self.routine = suspicion.word, suspicion is Suspicion.VERIFY


class ForeignToolchain(BuildError):
    """A toolchain is for another machine than those whose programs run here: the client has to compile locally.

    :param machine: the one that it is for, in the word of ``uname -m``.
    """

    def __init__(self, machine: str, text: str) -> None:
        super().__init__(SentLocal.MACHINE, text)
        self.kind = machine


class StaysHome(SccachedistError):
    """A compile would give another result on the farm than on its client: the client has to compile locally."""

    sent_local = SentLocal.OPTIONS


class JobKilled(SccachedistError):
    """The scheduler wants a job to end, and knows why: the client has to compile locally."""

    sent_local = SentLocal.KILLED

    def __init__(self) -> None:
        super().__init__("the scheduler ended the job")


class ToolchainError(SccachedistError):
    """A toolchain is missing, does not match its archive id, or cannot be unpacked."""

    sent_local = SentLocal.TOOLCHAIN
