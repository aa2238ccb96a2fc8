"""Who may look at the farm, and who may act on it (drain, kill, pause): found in the head of a request.

:mod:`sccachedist.scheduler.roles` has the roles, :mod:`sccachedist.scheduler.browsers` what browsers say.
"""

from collections.abc import Callable

import attrs

from sccachedist.auth.bearer import IPAddress, neighbourhood
from sccachedist.auth.clients import ClientAuth, name_of
from sccachedist.budgets import Party
from sccachedist.config import ViewFor, WebSettings
from sccachedist.errors import ClientRefused, Forbidden, PeerRefused
from sccachedist.scheduler.browsers import Browsers
from sccachedist.scheduler.roles import Principal, Principals, Role
from sccachedist.scheduler.sessions import Sessions
from sccachedist.scheduler.sight import Sight
from sccachedist.web.bodies import media_type_of
from sccachedist.web.request_head import Head
from sccachedist.web.responses import JSON

#: The least role that may look.
_LEAST = {ViewFor.ANYONE: Role.ANYONE, ViewFor.CLIENTS: Role.CLIENT, ViewFor.VIEWERS: Role.VIEWER}


@attrs.frozen
class FarmReader:
    """A sender that reads or acts.

    :param peer: the address at the other end of the connection.
    :param party: by its address alone, as :func:`~sccachedist.auth.clients.address_of` reads it.
    :param name: as the audit has it: a person's name, ``administrator``, ``viewer``, or a client's name in records.
    :param sight: which words of records it sees.
    """

    peer: str
    party: Party
    role: Role
    name: str
    sight: Sight = attrs.field(factory=Sight)

    @property
    def is_stranger(self) -> bool:
        """Whether it has shown nothing."""
        return self.role is Role.ANYONE


@attrs.define(eq=False)
class FarmReaders:
    """Finds out who asks.

    :param clients: accepts the tokens of clients.
    :param principals: administrators and viewers.
    :param sessions: those who have signed in.
    :param web: who may look.
    :param name_of: a client's name in records.
    :param now: seconds since 1970.
    """

    _clients: ClientAuth
    _principals: Principals
    _sessions: Sessions
    _browsers: Browsers
    web: WebSettings
    _name_of: Callable[[Party], str | None]
    _now: Callable[[], float]

    async def check(self, head: Head) -> FarmReader:
        """The sender, if it may look.

        :raises ClientRefused: it shows no token, or a wrong one.
        :raises Forbidden: it may compile here, and not look.
        :raises AuthUnavailable: its token cannot be checked now.
        """
        reader = await self.known(head)
        if reader.role >= _LEAST[self.web.view]:
            return reader
        if reader.role is Role.ANYONE:
            raise ClientRefused("no_bearer_auth", "no client token")
        raise Forbidden("this farm is shown to viewers and administrators only (web.view)")

    async def known(self, head: Head) -> FarmReader:
        """The sender, in any role.

        :raises ClientRefused: it shows a wrong token.
        :raises AuthUnavailable: its token cannot be checked now.
        """
        if head.token is None:
            return self._reader(head, self._in_browser(head) or Principal(Role.ANYONE, ""))
        return self._reader(head, await self.of_token(head.token, self._browsers.sender(head)))

    async def of_token(self, token: str, sender: IPAddress) -> Principal:
        """The principal whose secret this is.

        :raises ClientRefused: it is not known.
        :raises AuthUnavailable: that cannot be found out now.
        """
        if (principal := self._principals.of_token(token)) is not None:
            return principal
        return self._sessions.of_client(name_of(await self._clients.check(token, sender)))

    async def check_administrator(self, head: Head) -> FarmReader:
        """The sender, if it is an administrator. What a browser shows by itself has to come from one of our pages.

        :raises PeerRefused: it is none.
        :raises Forbidden: another site may have made an administrator's browser ask.
        """
        principal = self._in_browser(head) if head.token is None else self._principals.of_token(head.token)
        if principal is None or principal.role is not Role.ADMINISTRATOR:
            raise PeerRefused("invalid_bearer_token", "not an administrator")
        if head.token is None and head.method != "GET":
            if not self._browsers.is_same_origin(head):
                raise Forbidden("a browser may act from a page of this scheduler only")
            if media_type_of(head) != JSON:
                raise Forbidden(f"a browser may act with a Content-Type of {JSON} only")
        return self._reader(head, principal)

    def _in_browser(self, head: Head) -> Principal | None:
        """The principal that has signed in here, or at a trusted proxy."""
        session = self._browsers.session(head)
        if session is not None and (principal := self._sessions.principal_of(session, self._now())) is not None:
            return principal
        user = self._browsers.user(head)
        return None if user is None else self._principals.of_user(user)

    def _reader(self, head: Head, principal: Principal) -> FarmReader:
        party = Party(neighbourhood(self._browsers.sender(head)))
        address = self._name_of(party)
        own = principal.name if principal.role is Role.CLIENT and principal.name else address
        sight = Sight.of(principal.role, self.web.names, own)
        return FarmReader(head.peer, party, principal.role, principal.name or address or party, sight)
