"""Sessions of browsers: what a cookie holds, so that the scheduler need not remember who has signed in.

Pure. A session names a role and a person, and when it ends. It is signed with a key that comes from the very secret
that was shown and from the secret of build servers: so it outlasts a restart, ends when its secret is changed, is not
good at another scheduler, and cannot be made by a reader of the digests in the configuration.
"""

import hmac
from collections.abc import Callable

import attrs

from sccachedist.auth.clients import digest_of, unnamed
from sccachedist.config import JwtHs256, SchedulerSettings, ServerAuthSettings, TokenAuth
from sccachedist.scheduler.roles import Principal, Principals, Role

#: Seconds for which one is signed in, at most.
SESSION_SECS = 12 * 3600
#: Seconds beyond that: several schedulers' clocks may differ. What ends later was signed when a clock was wrong.
_SLACK_SECS = SESSION_SECS
#: The most characters of a session.
MOST_CHARACTERS = 200
#: Digits of a time that may be one.
_MOST_DIGITS = 12


class Sessions:
    """Signs sessions, and reads them.

    :param pepper: a secret of this scheduler; empty if it has none.
    :param place: the address of this scheduler, or what stands for it.
    :param client: stands for all clients; its digest is that of their secret, or of a chance one.
    :param knows: whether a client has a name.
    """

    def __init__(
        self,
        pepper: bytes,
        place: str,
        principals: Principals,
        client: Principal,
        knows: Callable[[str], bool] = unnamed,
    ) -> None:
        self._pepper, self._place, self._principals, self.client = pepper, place, principals, client
        self._knows = knows

    @classmethod
    def of(
        cls,
        settings: SchedulerSettings,
        principals: Principals,
        client_digest: str,
        knows: Callable[[str], bool] = unnamed,
        place: str | None = None,
    ) -> "Sessions":
        """Those of a scheduler.

        :param client_digest: of the secret of its clients.
        :param place: stands for its address, if they are to be good at others, too.
        """
        client = Principal(Role.CLIENT, "", client_digest)
        return cls(_pepper_of(settings.server_auth), place or str(settings.public_addr), principals, client, knows)

    def of_client(self, name: str) -> Principal:
        """A client.

        :param name: empty if it has none.
        """
        return attrs.evolve(self.client, name=name)

    def renew(self, settings: SchedulerSettings, client_digest: str) -> None:
        """Take over other secrets: sessions that were signed with the ones before end."""
        self._pepper, self.client = _pepper_of(settings.server_auth), Principal(Role.CLIENT, "", client_digest)

    def signed(self, principal: Principal, until: float) -> str:
        """A session: letters, digits and what names of persons have.

        :param until: when it ends, in seconds since 1970.
        """
        said = f"{principal.role:d}.{until:.0f}.{principal.name}"
        return f"{self._signature(said, principal)}.{said}"

    def principal_of(self, session: str, now: float) -> Principal | None:
        """The principal that has signed in; None if it is no session, or one that has ended.

        :param now: in seconds since 1970.
        """
        signature, _, said = session.partition(".")
        role, _, rest = said.partition(".")
        until, _, name = rest.partition(".")
        if len(session) > MOST_CHARACTERS or not session.isascii() or not until.isdigit() or len(until) > _MOST_DIGITS:
            return None
        holder = next((self._holder(each, name) for each in Role if role == f"{each:d}"), None)
        if holder is None or not hmac.compare_digest(signature, self._signature(said, holder)):
            return None
        return holder if now < int(until) <= now + SESSION_SECS + _SLACK_SECS else None

    def _holder(self, role: Role, name: str) -> Principal | None:
        """The principal that may have a session: it has a secret."""
        is_client = role is Role.CLIENT and (not name or self._knows(name))
        holder = self.of_client(name) if is_client else self._principals.named(role, name)
        return holder if holder and holder.digest else None

    def _signature(self, said: str, holder: Principal) -> str:
        key = hmac.digest(self._pepper, f"session\0{self._place}\0{holder.digest}".encode(), "sha256")
        return hmac.new(key, said.encode(), "sha256").hexdigest()


def _pepper_of(settings: ServerAuthSettings) -> bytes:
    match settings:
        case JwtHs256(secret_key=key):
            return key
        case TokenAuth(token=token):
            return digest_of(token).encode()
    return b""
