"""The scheduler's endpoints for administrators; :mod:`sccachedist.scheduler.farm_readers` decides who is one.

:mod:`sccachedist.scheduler.farm_orders` reads what they ask for, :mod:`sccachedist.scheduler.farm_actions` decides what
that means, and each action is told to the log and to those who watch. What a reload does is said in
:mod:`sccachedist.daemon.reload`. A build server drains itself by signal, of which
nothing is known here (:mod:`sccachedist.server.service`).
"""

import json
import secrets
from collections.abc import Awaitable, Callable

from sccachedist.budgets import Budget
from sccachedist.config import SchedulerSettings
from sccachedist.config.changes import digests
from sccachedist.daemon.logs import Logger
from sccachedist.daemon.reload import Reload
from sccachedist.errors import ConfigError, DecodeError
from sccachedist.records.documents import ActionDocument, SettingsDocument
from sccachedist.scheduler.departures import Departures
from sccachedist.scheduler.farm_actions import CannotBeDone, Circumstances, NothingMatches, Plan, Step, plan
from sccachedist.scheduler.farm_orders import RELOAD, Requested, requested
from sccachedist.scheduler.farm_readers import FarmReader, FarmReaders
from sccachedist.scheduler.farm_views import FarmViews
from sccachedist.scheduler.notices import Kind
from sccachedist.web.bodies import SmallBody
from sccachedist.web.request_head import Head
from sccachedist.web.responses import Response, json_response
from sccachedist.web.router import Api
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.messages import (
    UPDATE_JOB_STATE_RESULT,
    UpdateJobStateFail,
    UpdateJobStateResult,
    UpdateJobStateSuccess,
)

log = Logger()

#: The most bytes of a body and of all bodies, and the rows of an answer: its text counts all.
MOST_BYTES, BODIES_BYTES, MOST_DONE = 64 * 1024, 1 << 20, 1000
#: Called with each action: its kind, what it is about, a sentence, and who did it.
Tell = Callable[[Kind, str, str, str | None], None]


class AdminRoutes:
    """What administrators ask a scheduler.

    :param views: what the scheduler knows, and what viewers are shown of it.
    :param readers: finds out who is an administrator.
    :param departures: which build servers are missed.
    :param kept: waits until what outlasts a restart is in its file.
    :param tell: is told of each action but drains, which are events of the scheduler.
    :param reload: reads the configuration again.
    """

    api = Api()
    app = api.app

    def __init__(
        self,
        views: FarmViews,
        readers: FarmReaders,
        departures: Departures,
        kept: Callable[[], Awaitable[None]],
        tell: Tell,
        reload: Reload[SchedulerSettings],
    ) -> None:
        self._views, self._readers, self._departures = views, readers, departures
        self._kept, self._tell, self._memory = kept, tell, Budget("buffered_bytes", BODIES_BYTES)
        self._reload = reload

    async def _allow_administrator(self, head: Head, **_: object) -> FarmReader:
        return await self._readers.check_administrator(head)

    def _json(self, head: Head, **_: object) -> SmallBody[object]:
        memory = self._memory.open(head.sender)
        return SmallBody("application/json", _document, head, MOST_BYTES, "message_bytes", memory)

    @api.route(
        "POST",
        "/api/v1/admin/<any(drain, undrain):order>/<server_id:server_id>",
        allow=_allow_administrator,
        answer=UPDATE_JOB_STATE_RESULT,
    )
    async def drain(self, actor: FarmReader, _body: None, order: str, server_id: ServerId) -> UpdateJobStateResult:
        """Give a build server no more jobs, or jobs again, because an administrator says so.

        That is remembered even if no server is there: it may come back. The answer says so: the address may be wrong.
        """
        (step,) = (await self._perform(Requested(order, (str(server_id),)), actor)).steps
        return UpdateJobStateSuccess() if step.found else UpdateJobStateFail(step.text)

    @api.route("POST", "/api/v1/admin/actions", allow=_allow_administrator, body=_json, answer=None)
    async def act(self, actor: FarmReader, document: object) -> Response:
        """Do something to build servers or jobs, or say what that would do."""
        try:
            done = await self._perform(requested(document), actor)
        except NothingMatches as error:
            return _refusal(404, error)
        except CannotBeDone as error:
            return _refusal(409, error)
        steps = [step.to_json() for step in done.steps[:MOST_DONE]]
        return json_response(json.dumps(ActionDocument(v=1, text=done.text, done=steps)).encode())

    @api.route("GET", "/api/v1/admin/settings", allow=_allow_administrator, answer=None)
    async def settings(self, _actor: FarmReader, _body: None) -> Response:
        """Tell what a file would change, and no value: digests, with another salt each time."""
        salt = secrets.token_bytes(16)
        found = SettingsDocument(v=1, salt=salt.hex(), keys=digests(self._reload.configured, salt))
        return json_response(json.dumps(found).encode())

    def _read_again(self, asked: Requested, actor: FarmReader) -> Plan:
        """Read the configuration again, or say what that would change."""
        try:
            changes = self._reload.preview() if asked.preview else self._reload.reload()
        except ConfigError as error:
            raise CannotBeDone(f"the configuration stays as it is: {error}") from error
        text = f"the configuration {'would be' if asked.preview else 'was'} read again: {changes}"
        found = Plan(text, (Step("configuration", text),))
        if not asked.preview:
            self._note(asked, found, actor)
        return found

    async def _perform(self, asked: Requested, actor: FarmReader) -> Plan:
        """Do it, unless it is only a preview; returns what it does."""
        if asked.action == RELOAD:
            return self._read_again(asked, actor)
        term, records = self._views.terms.current, self._views.records
        around = Circumstances(
            by=actor.name,
            now=term.now(),
            time=records.now(),
            waiting=sum(term.waiting.values()),
            missed=self._departures.missed(),
            forget=self._departures.forget,
            name_of=records.name_of,
        )
        found = plan(asked, term.interventions, around)
        if not asked.preview:
            term.perform(found.steps)
            self._views.ordered()
            self._note(asked, found, actor)
            await self._kept()
        return found

    def _note(self, asked: Requested, found: Plan, actor: FarmReader) -> None:
        about = (
            found.steps[0].about if len(found.steps) == 1 else ", ".join(asked.servers or ()) or asked.client or "farm"
        )
        form = "{name}, at {peer}: {action}: {text}{reason}"
        reason = f" ({asked.reason})" if asked.reason else ""
        log.info(form, name=actor.name, peer=actor.peer, action=asked.action, text=found.text, reason=reason)
        if asked.action not in ("drain", "undrain"):
            self._tell("action", about, f"{found.text}{reason}", actor.name)


def _document(octets: bytes) -> object:
    try:
        return json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise DecodeError("the body is no JSON") from error


def _refusal(status: int, error: Exception) -> Response:
    return json_response(json.dumps({"description": str(error)}).encode(), status)
