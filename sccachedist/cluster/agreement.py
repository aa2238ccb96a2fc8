"""What several schedulers have to have in common of their configurations, and how each finds where another differs.

Pure. The asker sends proofs: for each part a digest with a fresh salt, whose key is made from what that part says. The
other one answers which parts differ. So no secret is sent, and a stranger who asks learns no more than from showing a
token. Who is asked might try guesses at a weak secret; those are the schedulers of this one's configuration, to which
it passes on the tokens of clients and build servers anyway.
"""

import hashlib
import hmac
from collections.abc import Callable

from sccachedist.config import SchedulerSettings
from sccachedist.config.changes import spread

#: The header with the proofs: a salt, then ``PART=DIGEST`` for each part.
PROOFS = "x-sccachedist-proofs"
#: The parts, by the key that an operator has to compare, each with the keys of :func:`spread` that it consists of.
PARTS = {
    "client_auth": "client_auth",
    "server_auth": "server_auth",
    "network.servers_from": "network.servers_from",
    "admin.token": "admin.token",
    "admin.people": "admin.people",
    "clients.file": "clients.named",
    "jwt": "jwt",
    "web.viewer_token": "web.viewer_token",
    "cluster.schedulers": "cluster.schedulers",
}
_SALT, _DIGITS = 16, 32


class Agreement:
    """One scheduler's configuration, as it is compared.

    :param settings: returns those that are in force; the same object as long as they do not change.
    :param salt: returns so many random bytes.
    """

    def __init__(self, settings: Callable[[], SchedulerSettings], salt: Callable[[int], bytes]) -> None:
        self._settings, self._salt = settings, salt
        self._known = settings()
        self._keys = _keys(self._known)

    def proofs(self) -> str:
        """What another scheduler is asked with; other ones each time."""
        salt = self._salt(_SALT).hex()
        return " ".join((salt, *(f"{part}={digest}" for part, digest in self._digests(salt).items())))

    def differing(self, proofs: str | None) -> tuple[str, ...] | None:
        """The parts in which an asker differs, in the order of :data:`PARTS`; None if it does not ask for that.

        What one of the two does not compare, because it is of another release, does not differ.
        """
        if not proofs:
            return None
        salt, *pairs = proofs.split(" ")
        said = dict(pair.partition("=")[::2] for pair in pairs)
        own = self._digests(salt)
        return tuple(
            part
            for part, digest in own.items()
            if part in said and not hmac.compare_digest(digest.encode(), said[part].encode(errors="replace"))
        )

    def _digests(self, salt: str) -> dict[str, str]:
        if (now := self._settings()) is not self._known:
            self._known, self._keys = now, _keys(now)
        return {
            part: hmac.new(key, f"{salt} {part}".encode(errors="replace"), "sha256").hexdigest()[:_DIGITS]
            for part, key in self._keys.items()
        }


def _keys(settings: SchedulerSettings) -> dict[str, bytes]:
    """A key for each part, made from what it says."""
    rows = {key: _unordered(key, value) for key, value in spread(settings).items()}
    return {part: hashlib.sha256(repr(_rows_of(rows, place)).encode()).digest() for part, place in PARTS.items()}


def _rows_of(rows: dict[str, object], place: str) -> list[tuple[str, object]]:
    return sorted((key, value) for key, value in rows.items() if key == place or key.startswith(f"{place}."))


def _unordered(key: str, value: object) -> object:
    return sorted(value) if key == "cluster.schedulers" and isinstance(value, tuple) else value
