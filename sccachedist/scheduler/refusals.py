"""Why a request gets no slot: the word for each error that may end it.

Pure. Which error that is, is decided where it is raised; what the client is told is not known here.
"""

from twisted.internet.defer import CancelledError

from sccachedist.errors import AuthUnavailable, ClientRefused, ClientTokenEnded, DecodeError, LimitExceeded, NoCapacity
from sccachedist.outcomes import Refusal

_LIMITS = {"unclaimed_jobs": Refusal.UNCLAIMED_JOBS, "queue.max_waiting": Refusal.QUEUE_FULL}


def refusal_of(error: BaseException) -> Refusal:
    """The word for an error that ended a request for a slot."""
    match error:
        case NoCapacity(refusal=refusal):
            return refusal
        case LimitExceeded(limit=limit):
            return _LIMITS.get(limit, Refusal.OVER_LIMIT)
        case DecodeError():
            return Refusal.BAD_TOOLCHAIN
        case ClientTokenEnded():
            return Refusal.TOKEN_ENDED
        case ClientRefused():
            return Refusal.UNAUTHORIZED
        case AuthUnavailable():
            return Refusal.AUTH_UNAVAILABLE
        case CancelledError():
            return Refusal.CLIENT_GONE
        case _:
            return Refusal.INCIDENT
