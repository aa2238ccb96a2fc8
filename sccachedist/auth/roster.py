"""Which tokens belong to clients with names, and which of them have ended.

Pure: the time is an argument. It has hashes of tokens alone; where they are from is not known here.
"""

from collections.abc import Iterator, Mapping

import attrs

from sccachedist.auth.clients import name_of
from sccachedist.budgets import Party
from sccachedist.config.clients import DEFAULT, ClientSettings, TokenSettings

#: Seconds for which a token that has ended is told from one that was never known: its client compiles locally for so
#: long. Then it fails, as any wrong one does.
REMEMBERED_SECS = 30 * 86_400.0
#: Seconds for which a client is taken to show a token again that it has shown.
SHOWN_SECS = 86_400.0


@attrs.frozen
class Known:
    """A token is good: it is the client's of this name."""

    name: str


@attrs.frozen
class TokenEnded:
    """A token was this client's until then, in seconds since 1970."""

    name: str
    until: float


@attrs.frozen
class TokenUse:
    """A token of a client.

    :param last_used: when it was shown last, in seconds since 1970; None if not since the start.
    """

    settings: TokenSettings
    last_used: float | None


class Roster:
    """The tokens of clients with names.

    :param clients: those of the clients' file, by name.
    """

    def __init__(self, clients: Mapping[str, ClientSettings]) -> None:
        self._last_used: dict[str, float] = {}
        self.replace(clients)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._tokens)

    def replace(self, clients: Mapping[str, ClientSettings]) -> None:
        """Go by another file from now on."""
        self._default = clients.get(DEFAULT, ClientSettings())
        self._clients = {name: client for name, client in clients.items() if name != DEFAULT}
        self._tokens = {
            token.sha256: (Known(name), token) for name, client in self._clients.items() for token in client.tokens
        }
        self._last_used = {digest: at for digest, at in self._last_used.items() if digest in self._tokens}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all clients."""
        return tuple(self._clients)

    @property
    def names_with_tokens(self) -> set[str]:
        """The names of the clients that have a token, ended or not."""
        return {known.name for known, _ in self._tokens.values()}

    def knows(self, name: str) -> bool:
        """Whether a client has this name."""
        return name in self._clients

    def client_of(self, party: Party) -> str:
        """The client of the file that a party is; ``DEFAULT`` if it has no name, or one that the file has no more."""
        name = name_of(party)
        return name if name in self._clients else DEFAULT

    def find(self, digest: str, now: float) -> Known | TokenEnded | None:
        """The client that has shown a token; None if it is none of these.

        :param digest: of the token, as :func:`~sccachedist.auth.clients.digest_of` makes it.
        :param now: in seconds since 1970.
        """
        found = self._tokens.get(digest)
        if found is None:
            return None
        known, token = found
        self._last_used[digest] = now
        if token.until is None or now < token.until:
            return known
        return TokenEnded(known.name, token.until) if now < token.until + REMEMBERED_SECS else None

    def until(self, digest: str) -> float | None:
        """When a token ends, in seconds since 1970; None if it does not, or is none of these."""
        found = self._tokens.get(digest)
        return None if found is None else found[1].until

    def uses(self) -> Iterator[tuple[str, ClientSettings, list[TokenUse]]]:
        """Each client with its tokens, in the order of the file; last, all without a name."""
        for name, client in self._clients.items():
            yield name, client, [TokenUse(token, self._last_used.get(token.sha256)) for token in client.tokens]
        yield DEFAULT, self._default, []

    def ends(self, now: float) -> dict[str, float]:
        """When the first token ends that a client has shown lately, by name; clients without such an end are missing.

        :param now: in seconds since 1970, as the result.
        """
        found: dict[str, float] = {}
        for name, _, tokens in self.uses():
            lately = (use for use in tokens if use.last_used is not None and now - use.last_used < SHOWN_SECS)
            ends = [use.settings.until for use in lately if use.settings.until is not None]
            if ends:
                found[name] = min(ends)
        return found
