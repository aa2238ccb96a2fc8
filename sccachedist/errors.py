"""The tree of errors.

One root, and a leaf for each case that a caller treats differently. What an error becomes on the wire is
decided in one place, :mod:`sccachedist.web.responses`. This module knows nothing of HTTP nor of Twisted.
"""


class SccachedistError(Exception):
    """The root of every error that this package raises on purpose. Its text never holds a secret."""

    #: Whether it belongs to any day's work: then it is logged for those alone who look closely.
    routine = False


class ConfigError(SccachedistError):
    """A configuration file cannot be used: the text names the file, the key and what was expected."""


class DecodeError(SccachedistError):
    """Bytes or text from a peer are not what the protocol says they are: the peer's fault."""


class Refused(SccachedistError):
    """Somebody may not do what was asked for.

    :param challenge: the ``error`` of the ``WWW-Authenticate: Bearer`` answer, e.g. ``invalid_jwt``.
    """

    def __init__(self, challenge: str, reason: str) -> None:
        super().__init__(reason)
        self.challenge = challenge


class ClientRefused(Refused):
    """A client's token is missing or wrong: the one refusal that may fail a user's compile."""


class AuthUnavailable(SccachedistError):
    """Nobody can tell whether a client token is good: whoever knows does not answer."""


class PeerRefused(Refused):
    """A build server's token, or a job token that nobody ever issued, is refused."""


class AmbiguousRequest(SccachedistError):
    """A request says twice what it may say once: which of both is right cannot be known."""


class StaleToken(SccachedistError):
    """A job token is well formed but not signed with the key in force: it may be from before a key was lost."""


class LimitExceeded(SccachedistError):
    """Something is larger, longer or more than a limit allows.

    :param limit: the key of the limit under ``[limits]``.
    """

    def __init__(self, limit: str, reason: str) -> None:
        super().__init__(f"{reason} (limit: {limit})")
        self.limit = limit


class DiskError(SccachedistError):
    """A disk of this machine is full, broken, read-only or gone: the client has to compile locally."""


class UntrustedPath(SccachedistError, OSError):
    """Another user of this host could have made or could change a file or directory: it is not used."""


class DiskFull(DiskError):
    """There is no room on a disk, or for one more file."""


class UnknownServer(SccachedistError):
    """A build server that the scheduler does not know, or does not know any more."""


class UnknownJob(SccachedistError):
    """A job that does not exist, does not exist any more, or is another server's."""


class NoPlace(SccachedistError):
    """A build server has as many jobs as it takes at a time."""


class BadTransition(SccachedistError):
    """A job cannot go from the state it is in to the one that was asked for."""


class PeerError(SccachedistError):
    """A peer did not answer, answered late, or answered what the protocol does not know.

    :param status: the HTTP status, where the peer answered with another one than 200.
    """

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class BuildError(SccachedistError):
    """A compile did not come to a result that may be shown to a user: the client has to compile locally."""


class CompileFailed(BuildError):
    """A compile failed on the farm: its client repeats it, and its user reads how it ends at home.

    :param routine: whether nothing in the compiler's words says that the farm may be at fault.
    """

    def __init__(self, reason: str, *, routine: bool) -> None:
        super().__init__(reason)
        self.routine = routine


class StaysHome(SccachedistError):
    """A compile would mean something else here than where it comes from: the client has to compile locally."""


class ToolchainError(SccachedistError):
    """A toolchain is missing, does not match its archive id, or cannot be unpacked."""
