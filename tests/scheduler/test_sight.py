"""Which names and words of others one sees, on each route that may have them."""

from typing import Any

import attrs
import pytest

from sccachedist.config import NamesFor, ViewFor, WebSettings
from sccachedist.outcomes import Outcome, SentLocal
from sccachedist.records.ring import entry_of
from sccachedist.scheduler.roles import Role
from sccachedist.scheduler.sight import Sight
from sccachedist.wire.job_summary import JobSummary, packed
from sccachedist.wire.messages import JobId
from tests.scheduler.test_farm_routes import BOB, ROUTES, Farm, ended
from tests.support.readers import ADMIN, CLIENT, VIEWER

NAME, TOLD, WORDS = "secret/name.o", "an option that stays home", "error: unknown type name"
#: A job of another client that was told something of ours, and one that was told what its compiler said.
OPTIONS = JobSummary(Outcome.SENT_LOCAL, SentLocal.OPTIONS, output=NAME, compiler="gcc", detail=TOLD)
FAILED = JobSummary(Outcome.SENT_LOCAL, SentLocal.SUSPICIOUS, "verify", output=NAME, compiler="gcc", detail=WORDS)
ANYONE = None
HERS, ELSEWHERE = "10.0.0.2", "127.0.0.1"


def row(sight: Sight, summary: JobSummary, client: str | None = HERS) -> tuple[str | None, str | None]:
    reason = summary.reason
    entry = entry_of(JobId(7), 1.0, 2.0, client, "s", "t", Outcome.SENT_LOCAL, reason, summary=packed(summary))
    shown = sight.row(entry)
    assert sight.output(entry) == (shown["output"] or "")
    assert (sight.outline(entry, named=True)["output"] or "") == (shown["output"] or "")
    assert not sight.outline(entry, named=False)["output"]
    return shown["output"], shown["detail"]


@pytest.mark.parametrize(
    ("role", "names_for", "told", "failed"),
    [
        (Role.ANYONE, NamesFor.CLIENTS, (None, None), (None, None)),
        (Role.CLIENT, NamesFor.VIEWERS, (None, None), (None, None)),
        (Role.CLIENT, NamesFor.CLIENTS, (NAME, None), (NAME, None)),
        (Role.VIEWER, NamesFor.VIEWERS, (NAME, TOLD), (NAME, None)),
        (Role.ADMINISTRATOR, NamesFor.VIEWERS, (NAME, TOLD), (NAME, WORDS)),
    ],
)
def test_roles(role: Role, names_for: NamesFor, told: Any, failed: Any) -> None:
    """What each role sees of others; of one's own, all; of what is no one's, no more than of others."""
    sight = Sight.of(role, names_for, ELSEWHERE)
    assert (row(sight, OPTIONS), row(sight, FAILED)) == (told, failed)
    assert row(sight, FAILED, None) == failed
    assert row(attrs.evolve(sight, own=HERS), FAILED) == (NAME, WORDS)
    assert row(Sight.of(Role.ANYONE, names_for, HERS), FAILED) == (None, None)
    assert row(Sight(), FAILED, None) == (None, None)


@pytest.fixture
def open_farm() -> Farm:
    """A farm for all to see, at which another client has compiled two files."""
    open_farm = Farm(web=WebSettings(view=ViewFor.ANYONE))
    open_farm.clock.advance(20.0)
    for number, summary in enumerate((OPTIONS, FAILED)):
        open_farm.records(ended(10 + number, client=BOB, summary=packed(summary), job_id=JobId(110 + number)))
    return open_farm


QUERIES = [
    *((path, {}) for path in ROUTES),
    *((f"jobs/{number}", {}) for number in (110, 111)),
    *(("jobs", {"output": end}) for end in (NAME, "e.o", "")),
    *(("why", {"name": end}) for end in (NAME, "e.o")),
]


@pytest.mark.parametrize(("path", "query"), QUERIES)
@pytest.mark.parametrize(
    ("token", "sender", "seen"),
    [
        (ANYONE, ELSEWHERE, set()),
        (ANYONE, HERS, set()),
        (CLIENT, ELSEWHERE, set()),
        (CLIENT, HERS, {NAME, TOLD, WORDS}),
        (VIEWER, ELSEWHERE, {NAME, TOLD}),
        (ADMIN, ELSEWHERE, {NAME, TOLD, WORDS}),
    ],
)
def test_routes(
    open_farm: Farm, path: str, query: dict[str, str], token: str | None, sender: str, seen: set[str]
) -> None:
    """No document has more than its reader may see."""
    answer = open_farm.ask(path, token, sender, **query)
    assert answer.status == 200
    assert {text for text in (NAME, TOLD, WORDS) if text.encode() in answer.body} <= seen
    if path == "jobs" and not query:
        assert {text for text in (NAME, TOLD, WORDS) if text.encode() in answer.body} == seen


@pytest.mark.parametrize("path", ["jobs", "why"])
def test_hidden_names_are_not_found(open_farm: Farm, path: str) -> None:
    """A search does not tell whether a name is there."""
    key = {"jobs": "output", "why": "name"}[path]
    asked = {end: open_farm.ask(path, CLIENT, ELSEWHERE, **{key: end}).body for end in (NAME, "secret/game.o")}
    assert len(set(asked.values())) == 1
    assert NAME.encode() in open_farm.ask(path, CLIENT, HERS, **{key: NAME}).body
