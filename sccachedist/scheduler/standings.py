"""Which share of a full farm each party has: what the clients' file says of it.

Pure. It is asked for each slot, and never for one that was given, so that another file takes effect at once. How shares
are kept is not known here.
"""

from collections.abc import Mapping

import attrs

from sccachedist.auth.clients import account_of
from sccachedist.budgets import Party
from sccachedist.config.clients import DEFAULT, ClientClass, ClientSettings


@attrs.frozen
class Standing:
    """What a party may have.

    :param client: whose share it is of: a name, or the party itself, for each address without a name is a client.
    :param weight: the share of a full farm, beside the weights of other clients.
    :param max_slots: the most slots that the client has at a time; None for any number.
    :param is_batch: whether it gets what no interactive client waits for, and one slot in ten.
    :param labels: that the build servers of its jobs must have.
    """

    client: str
    weight: float = 1.0
    max_slots: int | None = None
    is_batch: bool = False
    labels: frozenset[str] = frozenset()

    @property
    def class_(self) -> ClientClass:
        """The class of the client."""
        return ClientClass.BATCH if self.is_batch else ClientClass.INTERACTIVE


class Standings:
    """The standing of each party.

    :param clients: those of the clients' file, by name.
    """

    def __init__(self, clients: Mapping[str, ClientSettings]) -> None:
        self.replace(clients)

    def replace(self, clients: Mapping[str, ClientSettings]) -> None:
        """Go by another file from now on. A client that it does not have any more stands as one without a name."""
        self._default = clients.get(DEFAULT, ClientSettings())
        self._named = {name: _standing(name, client) for name, client in clients.items() if name != DEFAULT}

    def of(self, party: Party) -> Standing:
        """The standing of a party now."""
        return self._named.get(account_of(party)) or _standing(party, self._default)

    def named(self, name: str) -> Standing:
        """That of a client by the name that records have: one without a name is called by its address."""
        return self._named.get(name) or _standing(name, self._default)


def _standing(client: str, settings: ClientSettings) -> Standing:
    return Standing(
        client, settings.weight, settings.max_slots, settings.class_ is ClientClass.BATCH, frozenset(settings.labels)
    )
