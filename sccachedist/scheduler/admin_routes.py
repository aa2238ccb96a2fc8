"""The scheduler's endpoints for administrators, and who is one.

An administrator may drain a build server here; a build server drains itself by signal
(:mod:`sccachedist.server.service`). What an order does is decided in :mod:`sccachedist.scheduler.term`.
"""

from sccachedist.auth.bearer import same_secret
from sccachedist.errors import PeerRefused
from sccachedist.scheduler.term import Terms
from sccachedist.web.bodies import NoBody
from sccachedist.web.request_head import Head
from sccachedist.web.router import Api
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import (
    UPDATE_JOB_STATE_RESULT,
    UpdateJobStateFail,
    UpdateJobStateResult,
    UpdateJobStateSuccess,
)

#: What an administrator is told that names an address without a build server.
_NOT_HERE = {
    "drain": "no build server has the address {}; one that comes there gets no jobs",
    "undrain": "no build server has the address {}; one that comes there gets jobs",
}


class AdminRoutes:
    """What administrators ask a scheduler.

    :param terms: what the scheduler knows.
    :param token: what an administrator shows; None if there are none.
    """

    api = Api()
    app = api.app

    def __init__(self, terms: Terms, token: str | None) -> None:
        self._terms, self._token = terms, token

    async def _allow_administrator(self, head: Head, **_: object) -> None:
        if self._token is None or not same_secret(head.token or "", self._token):
            raise PeerRefused("invalid_bearer_token", "not an administrator")

    def _nothing(self, head: Head, **_: object) -> NoBody:
        return NoBody()

    @api.route(
        "POST",
        "/api/v1/admin/<any(drain, undrain):order>/<server_id:server_id>",
        allow=_allow_administrator,
        body=_nothing,
        answer=UPDATE_JOB_STATE_RESULT,
    )
    async def drain(self, _granted: None, _body: None, order: str, server_id: ServerId) -> UpdateJobStateResult:
        """Give a build server no more jobs, or jobs again, because an administrator says so.

        That is remembered even if no server is there: it may come back. The answer says so: the address may be wrong.
        """
        if self._terms.current.drain(server_id, order == "drain"):
            return UpdateJobStateSuccess()
        return UpdateJobStateFail(_NOT_HERE[order].format(server_id))
