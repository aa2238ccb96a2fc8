"""Those who may look into a farm, with tokens that tests know."""

from collections.abc import Callable
from hashlib import sha256
from ipaddress import ip_network

import attrs

from sccachedist.auth.clients import ClientAuth, SharedClientToken, address_of, digest_of, unnamed
from sccachedist.config import AdminSettings, PersonSettings, SchedulerSettings, TokenAuth, WebSettings
from sccachedist.daemon.reload import Reload
from sccachedist.scheduler.browsers import Browsers
from sccachedist.scheduler.farm_readers import FarmReaders
from sccachedist.scheduler.roles import Principal, Principals, Role
from sccachedist.scheduler.sessions import Sessions
from sccachedist.scheduler.sign_in_routes import SignInRoutes
from sccachedist.wire.addresses import ServerId

CLIENT, VIEWER, ADMIN, ANN = "clienttok", "viewertok", "admintok", "annstoken"
ADMINS = AdminSettings(ADMIN, {"ann": PersonSettings(sha256(ANN.encode()).hexdigest())})
#: The proxies that are trusted, and where a browser says that it is.
PROXIES, PLACE = ip_network("10.9.0.0/16"), "127.0.0.1:10600"


@attrs.define
class Entrance:
    """Who may look into a farm that takes these four tokens, and where they sign in.

    :param time: in seconds since 1970.
    """

    web: WebSettings = attrs.field(factory=WebSettings)
    admin: AdminSettings = ADMINS
    clients: ClientAuth = attrs.field(factory=lambda: SharedClientToken(CLIENT))
    client_digest: str = digest_of(CLIENT)
    pepper: bytes = b"the build servers'"
    place: str = PLACE
    tls: bool = False
    time: float = 1_000_000.0
    knows: Callable[[str], bool] = unnamed
    sessions: Sessions = attrs.field(init=False)
    readers: FarmReaders = attrs.field(init=False)
    sign_in: SignInRoutes = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        web = attrs.evolve(self.web, viewer_token=self.web.viewer_token or VIEWER)
        principals = Principals.of(self.admin, web)
        client = Principal(Role.CLIENT, "", self.client_digest)
        self.sessions = Sessions(self.pepper, self.place, principals, client, self.knows)
        browsers = Browsers(self.tls, [PROXIES], web.user_header)
        now = self.now
        self.readers = FarmReaders(self.clients, principals, self.sessions, browsers, web, address_of, now)
        self.sign_in = SignInRoutes(self.readers, self.clients, self.sessions, browsers, web, now)

    def now(self) -> float:
        return self.time


def farm_readers(web: WebSettings | None = None) -> FarmReaders:
    """The readers of a farm that takes these four tokens."""
    return Entrance(web or WebSettings()).readers


def reloading() -> Reload[SchedulerSettings]:
    """A configuration that does not change."""
    found = SchedulerSettings(ServerId.parse(PLACE), TokenAuth(CLIENT), TokenAuth("servertok"))
    return Reload(found, lambda: found, lambda: 0.0)


async def at_once() -> None:
    """Wait for nothing: what administrators do is kept nowhere."""
