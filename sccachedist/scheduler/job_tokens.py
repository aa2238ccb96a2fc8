"""Issues the job tokens of clients, by which our own build servers learn of a job, its toolchain, client and time.

It also issues the tokens by which they give toolchains to each other. Which build server gets a job is not known here.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from functools import lru_cache

import attrs

from sccachedist.budgets import Party
from sccachedist.scheduler.core import Reservation
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.tokens import job_token, toolchain_token

#: Hexadecimal digits of a client's name in a token.
_NAME_DIGITS = 16


@attrs.frozen
class JobTokens:
    """Issues tokens.

    :param now: seconds since 1970, by a clock that is not set back while this process runs.
    """

    now: Callable[[], float]
    _key: bytes = attrs.field(factory=lambda: secrets.token_bytes(32), repr=False)

    def issue(self, reserved: Reservation, toolchain: ArchiveId, client: Party) -> str:
        """The token that opens a client's job. A published build server refuses one that names more than the job."""
        if not reserved.ours:
            return job_token(reserved.job_key, reserved.job_id)
        return job_token(
            reserved.job_key, reserved.job_id, toolchain, issued=int(self.now()), client=_name(self._key, client)
        )

    def lend(self, job_key: bytes, toolchain: ArchiveId) -> str:
        """The token by which one of our build servers gets a toolchain from the one with this job key."""
        return toolchain_token(job_key, toolchain, int(self.now()))


@lru_cache(1 << 12)  # a client asks for many jobs
def _name(key: bytes, client: Party) -> str:
    """The name by which a build server knows a client. It tells nothing of the client's token."""
    return hmac.digest(key, client.encode(), hashlib.sha256).hex()[:_NAME_DIGITS]
