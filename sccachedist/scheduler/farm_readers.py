"""Who may read what the farm does, and who may act on it: what is found in the head of a request.

:mod:`sccachedist.scheduler.roles` has the roles.
"""

from collections.abc import Callable, Sequence

import attrs

from sccachedist.auth.bearer import IPAddress, IPNetwork, client_address, neighbourhood
from sccachedist.auth.clients import ClientAuth
from sccachedist.budgets import Party
from sccachedist.config import ViewFor, WebSettings
from sccachedist.errors import ClientRefused, Forbidden, PeerRefused
from sccachedist.scheduler.roles import Principal, Principals, Role
from sccachedist.web.request_head import Head

#: The least role that may look.
_LEAST = {ViewFor.ANYONE: Role.ANYONE, ViewFor.CLIENTS: Role.CLIENT, ViewFor.VIEWERS: Role.VIEWER}


@attrs.frozen
class FarmReader:
    """One who reads, or acts.

    :param peer: the address at the other end of the connection.
    :param party: by its address alone, as :func:`~sccachedist.auth.clients.address_of` reads it.
    :param name: as the audit has it: a person's name, ``administrator``, ``viewer``, or the address as records name it.
    """

    peer: str
    party: Party
    role: Role
    name: str


@attrs.frozen
class FarmReaders:
    """Finds out who asks.

    :param clients: accepts the tokens of clients.
    :param principals: administrators and viewers.
    :param web: who may look.
    :param proxies: the networks from which ``X-Real-IP`` is believed.
    :param name_of: a client's name in records.
    """

    _clients: ClientAuth
    _accounts: Principals
    _web: WebSettings
    _proxies: Sequence[IPNetwork]
    _name_of: Callable[[Party], str | None]

    async def check(self, head: Head) -> FarmReader:
        """The sender, if it may look.

        :raises ClientRefused: it shows no token, or a wrong one.
        :raises Forbidden: it may compile here, and not look.
        :raises AuthUnavailable: its token cannot be checked now.
        """
        reader = await self.known(head)
        if reader.role >= _LEAST[self._web.view]:
            return reader
        if reader.role is Role.ANYONE:
            raise ClientRefused("no_bearer_auth", "no client token")
        raise Forbidden("this farm is shown to viewers and administrators only (web.view)")

    async def known(self, head: Head) -> FarmReader:
        """The sender, whatever it may do.

        :raises ClientRefused: it shows a wrong token.
        :raises AuthUnavailable: its token cannot be checked now.
        """
        sender = self.sender(head)
        if (principal := self._accounts.of_token(head.token)) is not None:
            return self._reader(head, principal)
        if head.token is None:
            return self._reader(head, Principal(Role.ANYONE, ""))
        await self._clients.check(head.token, sender)
        return self._reader(head, Principal(Role.CLIENT, ""))

    async def check_administrator(self, head: Head) -> FarmReader:
        """The sender, if it is an administrator.

        :raises PeerRefused: it is none.
        """
        principal = self._accounts.of_token(head.token)
        if principal is None or principal.role is not Role.ADMINISTRATOR:
            raise PeerRefused("invalid_bearer_token", "not an administrator")
        return self._reader(head, principal)

    def sender(self, head: Head) -> IPAddress:
        """The address that a request comes from."""
        return client_address(head.peer, head.headers.get("x-real-ip"), self._proxies)

    def _reader(self, head: Head, principal: Principal) -> FarmReader:
        party = Party(neighbourhood(self.sender(head)))
        return FarmReader(head.peer, party, principal.role, principal.name or self._name_of(party) or party)
