"""What each method of a farm asks its scheduler, and what becomes of the answer."""

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import pytest

from sccachedist.client import ConfigError, Farm, PeerError
from sccachedist.client import farm as module
from sccachedist.client.web_client import Question, Reply, Trust
from tests.cli.farm import documents as made
from tests.records.rows import job_row

URL = "http://farm.example.org:10600"
ADDRESS = made.SERVERS["servers"][0]["address"]
DRAINED = {"by": "ann", "reason": "", "since": 1.0, "until": None}
ME = {"v": 1, "role": "client", "name": "ann", "title": "sccachedist", "view": "clients"}
NOTICES: dict[str, Any] = {"v": 1, "notices": []}
TRACE: dict[str, Any] = {"traceEvents": [], "displayTimeUnit": "ms"}
NAMED: dict[str, Any] = {"v": 1, "since": 1.0, "clients": []}
SETTINGS: dict[str, Any] = {"v": 1, "salt": "9f0c", "keys": {}}
DONE = {"v": 1, "text": "that was all", "done": [{"about": ADDRESS, "text": "it is drained", "found": True}]}


@attrs.define
class Scheduler:
    """Answers in turn, and repeats its last answer; remembers what it was asked."""

    answers: list[Any] = attrs.field(factory=list)
    asked: list[Question] = attrs.field(factory=list)

    def ask(self, question: Question, _secs: float, _trust: Trust) -> Reply:
        self.asked.append(question)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, PeerError):
            raise answer
        status, document = answer if isinstance(answer, tuple) else (200, answer)
        return Reply(status, json.dumps(document).encode(), None)


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """The only one that there is; nothing is waited for."""
    scheduler = Scheduler()
    monkeypatch.setattr(Question, "ask", lambda question, *how: scheduler.ask(question, *how))
    for name in ("FIRST_LOOK_SECS", "LOOK_SECS"):
        monkeypatch.setattr(module, name, 0.0)
    return scheduler


@pytest.fixture
def farm() -> Farm:
    return Farm.find(URL, token="hunter2", environment={})


@pytest.mark.parametrize(
    ("call", "document", "path"),
    [
        (lambda farm: farm.me(), ME, "farm/me"),
        (lambda farm: farm.status(), made.STATUS, "farm/status"),
        (lambda farm: farm.status(since=300), made.STATUS, "farm/status?since=300"),
        (lambda farm: farm.servers(), made.SERVERS, "farm/servers"),
        (lambda farm: farm.servers(["open", "full"]), made.SERVERS, "farm/servers?state=open%2Cfull"),
        (lambda farm: farm.jobs(), made.JOBS, "farm/jobs"),
        (
            lambda farm: farm.jobs(client="a&b", outcome="sent_local", output="x.o", limit=7, before="1.0~1", since=60),
            made.JOBS,
            "farm/jobs?client=a%26b&outcome=sent_local&output=x.o&limit=7&before=1.0~1&since=60",
        ),
        (lambda farm: farm.job("4567"), made.JOB, "farm/jobs/4567"),
        (lambda farm: farm.why("x.o"), made.WHY, "farm/why?name=x.o"),
        (lambda farm: farm.clients(since=3600), made.CLIENTS, "farm/clients?since=3600"),
        (lambda farm: farm.toolchains(), made.TOOLCHAINS, "farm/toolchains"),
        (lambda farm: farm.usage(), made.USAGE, "farm/usage?by=client"),
        (lambda farm: farm.usage("server", since=60), made.USAGE, "farm/usage?by=server&since=60"),
        (lambda farm: farm.trace(server="10.0.0.2"), TRACE, "farm/trace?server=10.0.0.2"),
        (lambda farm: farm.notices(), NOTICES, "farm/notices"),
        (lambda farm: farm.named_clients(), NAMED, "admin/clients"),
        (lambda farm: farm.settings(), SETTINGS, "admin/settings"),
    ],
)
def test_what_is_looked_at(
    scheduler: Scheduler, farm: Farm, call: Callable[[Farm], Any], document: Any, path: str
) -> None:
    """One question each, with the token; the document comes as it is."""
    scheduler.answers = [document]
    assert call(farm) == document
    assert [(question.url, question.token) for question in scheduler.asked] == [(f"{URL}/api/v1/{path}", "hunter2")]
    assert scheduler.asked[0].body is None


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (lambda farm: farm.drain("10.0.0.*", "build17"), {"action": "drain", "servers": ["10.0.0.*", "build17"]}),
        (
            lambda farm: farm.drain("build17", reason="kernel", secs=60.0),
            {"action": "drain", "servers": ["build17"], "reason": "kernel", "until": 60.0},
        ),
        (lambda farm: farm.undrain("build17"), {"action": "undrain", "servers": ["build17"]}),
        (lambda farm: farm.forgive("*"), {"action": "forgive", "servers": ["*"]}),
        (lambda farm: farm.forget_server("a", "b"), {"action": "forget_server", "servers": ["a", "b"]}),
        (lambda farm: farm.forget_toolchain("0c0c0c"), {"action": "forget_toolchain", "toolchain": "0c0c0c"}),
        (
            lambda farm: farm.forget_toolchain("0c0c0c", "a"),
            {"action": "forget_toolchain", "toolchain": "0c0c0c", "servers": ["a"]},
        ),
        (lambda farm: farm.kill_job("412"), {"action": "kill", "job": "412"}),
        (lambda farm: farm.kill_jobs_of("ann"), {"action": "kill", "client": "ann"}),
        (lambda farm: farm.pause("a move"), {"action": "pause", "reason": "a move"}),
        (lambda farm: farm.resume(), {"action": "resume"}),
        (lambda farm: farm.reload(), {"action": "reload"}),
    ],
)
def test_what_is_done(scheduler: Scheduler, farm: Farm, call: Callable[[Farm], Any], body: dict[str, object]) -> None:
    """The body is the one that the API takes."""
    scheduler.answers = [DONE]
    assert call(farm) == DONE
    [question] = scheduler.asked
    assert question.url == f"{URL}/api/v1/admin/actions"
    assert json.loads(question.body or b"") == {"preview": False} | body


def test_a_preview(scheduler: Scheduler, farm: Farm) -> None:
    """It is asked for as one."""
    scheduler.answers = [DONE]
    farm.drain("*", preview=True)
    assert json.loads(scheduler.asked[0].body or b"")["preview"] is True


def test_no_server_is_meant(farm: Farm) -> None:
    """A drain of nothing is the scheduler's to refuse: it is asked for as that, and not for all."""
    assert module._body("drain", "", False, servers=()) == {"action": "drain", "preview": False, "servers": []}


def test_all_records(scheduler: Scheduler, farm: Farm) -> None:
    """A page is asked for when its records are wanted; a page with nothing on it is the last."""
    pages = [{**made.JOBS, "jobs": [job_row(output=f"{place}.o")], "next": f"{place}.0~1"} for place in range(3)]
    scheduler.answers = [*pages, {**made.JOBS, "jobs": [], "next": "again"}]
    assert [row["output"] for row in islice(farm.records(client="ann"), 2)] == ["0.o", "1.o"]
    assert len(scheduler.asked) == 2
    scheduler.answers = [pages[0], {**pages[1], "next": None}]
    assert [row["output"] for row in farm.records()] == ["0.o", "1.o"]
    assert scheduler.asked[-1].url.endswith("jobs?limit=1000&before=0.0~1")


def rows(*jobs: int, drain: Any = DRAINED) -> dict[str, Any]:
    """Build servers, of which the first has so many jobs."""
    mine = [{**made.SERVERS["servers"][0], "jobs": count, "drain": drain} for count in jobs]
    return {**made.SERVERS, "servers": [*mine, *made.SERVERS["servers"][1:]]}


def test_jobs_left(scheduler: Scheduler, farm: Farm) -> None:
    """What changes is told, and 0 is the last; a scheduler that is away for a moment is waited for."""
    scheduler.answers = [rows(4), rows(4), PeerError("connection refused"), rows(1), rows(0)]
    assert list(farm.jobs_left([ADDRESS])) == [4, 1, 0]
    scheduler.answers = [rows()]
    assert list(farm.jobs_left([ADDRESS])) == [0]  # it has left


def test_jobs_that_are_waited_for_in_vain(scheduler: Scheduler, farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody undrains it; the asker may not look; the scheduler is away for long."""
    scheduler.answers = [rows(4), rows(4, drain=None)]
    with pytest.raises(PeerError, match="is drained no longer"):
        list(farm.jobs_left([ADDRESS]))
    scheduler.answers = [(403, {})]
    with pytest.raises(PeerError, match="does not show that") as refused:
        list(farm.jobs_left([ADDRESS]))
    assert refused.value.status == 403
    monkeypatch.setattr(module, "AWAY_SECS", -1.0)
    scheduler.answers = [PeerError("connection refused")]
    with pytest.raises(PeerError, match="does not answer: connection refused"):
        list(farm.jobs_left([ADDRESS]))


def test_without_a_token(scheduler: Scheduler) -> None:
    """What acts wants one, which is said beforehand if the script says that it acts."""
    scheduler.answers = [(401, {})]
    with pytest.raises(PeerError, match="it wants the token of an administrator"):
        Farm.find(URL, environment={"SCCACHE_CONF": "/none"}).drain("a")
    with pytest.raises(ConfigError, match="name the file of an administrator's token"):
        Farm.find(URL, administrator=True, environment={})
    assert Farm.find(URL, token="hunter2", administrator=True, environment={}).place.token == "hunter2"


def test_the_token_that_is_given(tmp_path: Path) -> None:
    """It goes before all others, is checked, and is shown by nothing."""
    environment = {"SCCACHEDIST_TOKEN_FILE": str(tmp_path / "none")}
    farm = Farm.find(URL, token="hunter2", token_file=tmp_path / "none", environment=environment)
    assert (farm.place.url, farm.place.token, farm.place.shown) == (URL, "hunter2", "the token that was given")
    assert "hunter2" not in repr(farm)
    with pytest.raises(ConfigError, match=r"^token: expected a text that fits into a HTTP header$"):
        Farm.find(URL, token="two\nlines", environment={})
    with pytest.raises(ConfigError, match=r"^scheduler: expected a http or https URL$"):
        Farm.find("farm.example.org", token="hunter2", environment={})
