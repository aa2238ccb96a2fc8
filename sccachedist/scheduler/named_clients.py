"""What clients with names have, for the administrators who give them tokens.

Pure. It is summed up of what the scheduler knows now, and of the clients' file.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from sccachedist.auth.clients import address_of
from sccachedist.auth.roster import TokenUse
from sccachedist.budgets import Party
from sccachedist.config.clients import ClientSettings
from sccachedist.records.client_documents import NamedClientRow, NamedTokenRow

#: Digits of a token's digest that tell it from others.
DIGEST_DIGITS = 8


class NamedClientSums:
    """What each client has, grown by one job at a time. All without a name are one.

    :param waits: how many requests of each party wait.
    :param client_of: which client a party is (:meth:`~sccachedist.auth.roster.Roster.client_of`).
    """

    def __init__(self, waits: Mapping[Party, int], client_of: Callable[[Party], str]) -> None:
        self._client_of, self._slots, self._waits = client_of, Counter[str](), waiting_by_client(waits, client_of)
        self._addresses: defaultdict[str, set[str]] = defaultdict(set)
        for party in waits:
            self._seen(party)

    def hold(self, party: Party | None) -> None:
        """Count a job that is not over, if its client is known."""
        if party is not None:
            self._slots[self._seen(party)] += 1

    def rows(self, clients: Iterable[tuple[str, ClientSettings, list[TokenUse]]]) -> Iterator[NamedClientRow]:
        """The clients of the file, as :meth:`~sccachedist.auth.roster.Roster.uses` has them."""
        for name, client, tokens in clients:
            yield NamedClientRow(
                {
                    "name": name,
                    "weight": client.weight,
                    "max_slots": client.max_slots,
                    "class": client.class_.value,
                    "slots": self._slots[name],
                    "waiting": self._waits[name],
                    "addresses": len(self._addresses.get(name, ())),
                    "tokens": [_token(use) for use in tokens],
                }
            )

    def _seen(self, party: Party) -> str:
        name = self._client_of(party)
        self._addresses[name].add(address_of(party))
        return name


def waiting_by_client(waits: Mapping[Party, int], client_of: Callable[[Party], str]) -> Counter[str]:
    """How many requests of each client wait.

    :param waits: how many of each party do.
    """
    found = Counter[str]()
    for party, count in waits.items():
        found[client_of(party)] += count
    return found


def _token(use: TokenUse) -> NamedTokenRow:
    token, last = use.settings, use.last_used
    return NamedTokenRow(
        sha256=token.sha256[:DIGEST_DIGITS],
        added=token.added,
        until=token.until,
        last_used=None if last is None else round(last, 3),
    )
