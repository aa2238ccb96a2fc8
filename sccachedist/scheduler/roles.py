"""The roles of people and programs that ask about the farm, and the secrets that give them these.

Pure. How a secret is shown, and the least role for reading and for acting, is said in
:mod:`sccachedist.scheduler.farm_readers`. Each route names the one who may (``allow``); those that act, as a drain
does, are in :mod:`sccachedist.scheduler.admin_routes`, for administrators alone.
"""

import hmac
from collections.abc import Iterable
from enum import IntEnum

import attrs

from sccachedist.auth.clients import digest_of
from sccachedist.config import AdminSettings, WebSettings

#: The administrator who shows ``admin.token``. No person has that name.
_NAMELESS = "administrator"


class Role(IntEnum):
    """Each may do all that the ones before it may."""

    ANYONE = 0
    CLIENT = 1
    VIEWER = 2
    ADMINISTRATOR = 3

    @property
    def word(self) -> str:
        """The role as documents have it."""
        return self.name.lower()


@attrs.frozen
class Principal:
    """The holder of a secret that the configuration knows.

    :param name: as the audit has it; a client without one is named by its address.
    :param digest: of the secret, as :func:`~sccachedist.auth.clients.digest_of` makes it; empty if there is none.
    """

    role: Role
    name: str
    digest: str = attrs.field(default="", repr=False)


@attrs.define
class Principals:
    """All administrators and viewers; no two have both role and name in common."""

    _accounts: tuple[Principal, ...] = ()

    @classmethod
    def of(cls, admin: AdminSettings, web: WebSettings | None = None) -> "Principals":
        """The ones that a configuration names."""
        principals = cls()
        principals.replace(admin, web)
        return principals

    def replace(self, admin: AdminSettings, web: WebSettings | None = None) -> None:
        """Take over those that the configuration names now."""
        found = [
            Principal(Role.ADMINISTRATOR, name, person.token_sha256 or "") for name, person in admin.people.items()
        ]
        if admin.token is not None:
            found.append(Principal(Role.ADMINISTRATOR, _NAMELESS, digest_of(admin.token)))
        if web is not None and web.viewer_token is not None:
            found.append(Principal(Role.VIEWER, "viewer", digest_of(web.viewer_token)))
        self._accounts = tuple(found)

    def of_token(self, token: str | None) -> Principal | None:
        """The holder of a secret. The time that it takes does not tell how much of a secret is right."""
        digest = digest_of(token or "")
        fitting = [principal for principal in self._accounts if hmac.compare_digest(principal.digest, digest)]
        return _first(fitting)

    def named(self, role: Role, name: str) -> Principal | None:
        """The one with a role and a name."""
        return _first(principal for principal in self._accounts if (principal.role, principal.name) == (role, name))

    def of_user(self, name: str) -> Principal:
        """A person whom a proxy has let in under a name: a viewer, unless a person among the administrators has it."""
        person = self.named(Role.ADMINISTRATOR, name) if name != _NAMELESS else None
        return person or Principal(Role.VIEWER, name)


def _first(principals: Iterable[Principal]) -> Principal | None:
    return next(iter(principals), None)
