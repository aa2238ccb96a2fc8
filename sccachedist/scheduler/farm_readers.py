"""Who may read what the farm does: administrators, and all who may compile on it."""

from collections.abc import Sequence

import attrs

from sccachedist.auth.bearer import IPNetwork, client_address, neighbourhood, same_secret
from sccachedist.auth.clients import ClientAuth
from sccachedist.budgets import Party
from sccachedist.web.request_head import Head


@attrs.frozen
class FarmReader:
    """One who may.

    :param peer: the address at the other end of the connection.
    :param party: by its address alone, as :func:`~sccachedist.auth.clients.address_of` reads it.
    """

    peer: str
    party: Party


@attrs.frozen
class FarmReaders:
    """Checks the token of a reader.

    :param clients: accepts the tokens of clients.
    :param admin_token: what an administrator shows; None if there is none.
    :param proxies: the networks from which ``X-Real-IP`` is believed.
    """

    _clients: ClientAuth
    _admin_token: str | None = attrs.field(repr=False)
    _proxies: Sequence[IPNetwork]

    async def check(self, head: Head) -> FarmReader:
        """Return if the sender may read.

        :raises ClientRefused: it may not.
        :raises AuthUnavailable: its token cannot be checked now.
        """
        sender = client_address(head.peer, head.headers.get("x-real-ip"), self._proxies)
        if self._admin_token is None or not same_secret(head.token or "", self._admin_token):
            await self._clients.check(head.token, sender)
        return FarmReader(head.peer, Party(neighbourhood(sender)))
