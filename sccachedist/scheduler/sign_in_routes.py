"""The endpoints at which a browser's user signs in and out, and learns who it is.

:mod:`sccachedist.scheduler.sessions` says what a session is, :mod:`sccachedist.scheduler.attempts` how often one may
try.
"""

import json
import math
from collections.abc import Callable, Mapping

import attrs
from twisted.logger import LogLevel

from sccachedist.auth.bearer import IPAddress, neighbourhood
from sccachedist.auth.clients import ClientAuth
from sccachedist.budgets import Budget
from sccachedist.config import WebSettings
from sccachedist.daemon.logs import Logger, QuietLog
from sccachedist.errors import AuthUnavailable, ClientRefused, ClientTokenEnded, DecodeError, Forbidden
from sccachedist.records.documents import MeDocument
from sccachedist.scheduler.attempts import Attempts
from sccachedist.scheduler.browsers import Browsers
from sccachedist.scheduler.farm_readers import FarmReader, FarmReaders
from sccachedist.scheduler.roles import Principal, Role
from sccachedist.scheduler.sessions import SESSION_SECS, Sessions
from sccachedist.web.bodies import SmallBody
from sccachedist.web.queries import values_of
from sccachedist.web.request_head import Head
from sccachedist.web.responses import Response, json_response
from sccachedist.web.router import Api
from sccachedist.wire.http_texts import header_token

log = Logger()

FORM = "application/x-www-form-urlencoded"
#: The most bytes of a form, and of all that come at a time.
FORM_BYTES, FORMS_BYTES = 16 * 1024, 1024 * 1024
#: What an administrator is told whose secret has just gone through a network in clear.
_IN_CLEAR = (
    "an administrator's token is not taken over plain HTTP: set [tls], or use the command line on the scheduler's host"
)
_OTHER_SITE = (
    "one signs in and out at the page of this scheduler only; a proxy before it has to pass on the Host that it was"
    " asked for (nginx: proxy_set_header Host $http_host)"
)


@attrs.frozen
class Asking:
    """A browser that asks to sign in or out.

    :param is_secure: whether it asks over TLS; ``is_private``: whether an administrator may show a secret so.
    """

    sender: IPAddress
    is_secure: bool
    is_private: bool


class SignInRoutes:
    """What a browser's user asks first.

    :param now: seconds since 1970.
    :param schedulers: how many there are.
    """

    api = Api()
    app = api.app

    def __init__(
        self,
        readers: FarmReaders,
        clients: ClientAuth,
        sessions: Sessions,
        browsers: Browsers,
        web: WebSettings,
        now: Callable[[], float],
        schedulers: int = 1,
    ) -> None:
        self._readers, self._clients, self._sessions, self._browsers = readers, clients, sessions, browsers
        self.web, self._now, self._attempts = web, now, Attempts(schedulers)
        self._memory = Budget("buffered_bytes", FORMS_BYTES)
        self._quiet_log = QuietLog(now)

    async def _allow_page(self, head: Head) -> Asking:
        """Anyone but another site, which might sign a user in under a name that is not the user's."""
        if not self._browsers.is_same_origin(head, may_be_silent=True):
            raise Forbidden(_OTHER_SITE)
        browsers = self._browsers
        is_private = self.web.plain_http or browsers.is_private(head)
        return Asking(browsers.sender(head), browsers.is_secure(head), is_private)

    async def _allow_anyone(self, head: Head) -> FarmReader:
        return await self._readers.known(head)

    def _form(self, head: Head) -> SmallBody[Mapping[str, str]]:
        return SmallBody(FORM, _form_of, head, FORM_BYTES, "message_bytes", self._memory.open(head.sender))

    @api.route("POST", "/login", allow=_allow_page, body=_form, answer=None, is_public=True)
    async def login(self, asking: Asking, form: Mapping[str, str]) -> Response:
        """Give a session to a sender that shows a secret."""
        network, now, token = neighbourhood(asking.sender), self._now(), form.get("token", "")
        if wait := self._attempts.begin(network, now):
            return _said(429, "too many tries to sign in", ("Retry-After", str(math.ceil(wait))))
        try:
            principal = await self._readers.of_token(header_token(token), asking.sender)
        except (ClientRefused, ValueError) as error:
            self._tell("refused", asking, "{sender} wanted to sign in with a token that is none here")
            return _said(401, str(error) if isinstance(error, ClientTokenEnded) else "this token is not known here")
        except AuthUnavailable:
            self._attempts.forget(network)
            raise
        self._attempts.forget(network)
        if principal.role is Role.ADMINISTRATOR and not asking.is_private:
            return _said(403, _IN_CLEAR)
        secs: float = SESSION_SECS
        if principal.role is Role.CLIENT:
            secs = min(secs, self._clients.believed_secs(token, now))
        self._tell("signed in", asking, "{sender} has signed in: {role} {name}", principal)
        session = self._sessions.signed(principal, now + secs)
        return self._gives(session, secs, asking)

    @api.route("POST", "/logout", allow=_allow_page, answer=None, is_public=True)
    async def logout(self, asking: Asking, _body: None) -> Response:
        """Take the session from a browser."""
        return self._gives("", 0, asking)

    @api.route("GET", "/api/v1/farm/me", allow=_allow_anyone, answer=None, is_public=True)
    async def farm_me(self, reader: FarmReader, _body: None) -> Response:
        """Say who asks, and what the farm is called."""
        document = MeDocument(
            v=1,
            role=reader.role.word,
            name=None if reader.role is Role.ANYONE else reader.name,
            title=self.web.title,
            view=self.web.view.value,
        )
        return json_response(json.dumps(document).encode())

    def _tell(self, kind: str, asking: Asking, form: str, who: Principal | None = None) -> None:
        fields = {"role": who.role.word, "name": who.name} if who else {}
        by, why = neighbourhood(asking.sender), " ".join(fields.values())
        self._quiet_log.tell(log, LogLevel.info, kind, form, by=by, why=why, sender=str(asking.sender), **fields)

    def _gives(self, session: str, secs: float, asking: Asking) -> Response:
        cookie = self._browsers.set_cookie(session, secs, is_secure=asking.is_secure)
        return Response(204, (("Set-Cookie", cookie), ("Cache-Control", "no-store")))


def _form_of(octets: bytes) -> Mapping[str, str]:
    try:
        return values_of(octets.decode("ascii"), ("token",), "form")
    except UnicodeDecodeError as error:
        raise DecodeError("the form is not of the form key=value&key=value") from error


def _said(status: int, text: str, *headers: tuple[str, str]) -> Response:
    answer = json_response(json.dumps({"description": text}).encode(), status)
    return attrs.evolve(answer, headers=(*answer.headers, *headers))
