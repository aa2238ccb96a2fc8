"""The commands with which administrators act, against a scheduler that answers what the test says."""

from typing import Any

import pytest

from sccachedist.cli import main as cli
from sccachedist.client import Farm
from sccachedist.client import farm as client_farm
from sccachedist.errors import PeerError
from tests.cli.farm.documents import SERVERS
from tests.support.answering_scheduler import ADDRESS, AnsweringScheduler

DRAINED = {"by": "ann", "reason": "", "since": 1.0, "until": None}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_LOOK_SECS", "LOOK_SECS"):
        monkeypatch.setattr(client_farm, name, 0.001)


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("drain", "10.0.0.*", ADDRESS), {"action": "drain", "servers": ["10.0.0.*", ADDRESS]}),
        (
            ("drain", "build17", "--reason", "kernel update", "--until", "2h"),
            {"action": "drain", "servers": ["build17"], "reason": "kernel update", "until": 7200},
        ),
        (("undrain", "build17"), {"action": "undrain", "servers": ["build17"]}),
        (("forgive", "*"), {"action": "forgive", "servers": ["*"]}),
        (("kill", "job", "3778…412"), {"action": "kill", "job": "412"}),
        (("kill", "client", "10.0.0.9"), {"action": "kill", "client": "10.0.0.9"}),
        (("pause", "--reason", "move"), {"action": "pause", "reason": "move"}),
        (("resume", "--reason", "moved"), {"action": "resume", "reason": "moved"}),
        (("forgive", "a", "--reason", "mended"), {"action": "forgive", "servers": ["a"], "reason": "mended"}),
        (("kill", "job", "412", "--reason", "hangs"), {"action": "kill", "job": "412", "reason": "hangs"}),
        (("kill", "client", "ci", "--reason", "old"), {"action": "kill", "client": "ci", "reason": "old"}),
        (
            ("forget", "toolchain", "0c0c0c", "--reason", "broken"),
            {"action": "forget_toolchain", "toolchain": "0c0c0c", "reason": "broken"},
        ),
        (("forget", "server", "a", "b"), {"action": "forget_server", "servers": ["a", "b"]}),
        (("forget", "toolchain", "0c0c0c"), {"action": "forget_toolchain", "toolchain": "0c0c0c"}),
        (
            ("forget", "toolchain", "0c0c0c", "build17"),
            {"action": "forget_toolchain", "toolchain": "0c0c0c", "servers": ["build17"]},
        ),
    ],
)
def test_what_is_asked(
    scheduler: AnsweringScheduler, arguments: tuple[str, ...], body: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is what the API takes; what was done is printed, and strangers' words in it move no cursor."""
    scheduler.did("one\x1b[2J thing")
    scheduler.run(*arguments)
    assert scheduler.asked == [("/api/v1/admin/actions", body | {"preview": False})]
    assert capsys.readouterr().out == "one\\x1b[2J thing\n"


def test_several(scheduler: AnsweringScheduler, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has a line, and all have one; a preview says that it is one."""
    scheduler.did("one thing", "another")
    scheduler.run("drain", "*", "--preview")
    assert scheduler.asked[0][1]["preview"] is True
    assert capsys.readouterr().out == "This would be done:\none thing\nanother\nthat was all\n"


def test_what_is_not_there(scheduler: AnsweringScheduler, capsys: pytest.CaptureFixture[str]) -> None:
    """The command fails: the address may be mistyped."""
    scheduler.did(f"no build server has the address {ADDRESS}", found=False)
    assert scheduler.fails("drain", ADDRESS).endswith(f": no build server has the address {ADDRESS}")
    assert capsys.readouterr().out == ""


def test_an_older_scheduler(scheduler: AnsweringScheduler, capsys: pytest.CaptureFixture[str]) -> None:
    """It drains and undrains by address; all else it cannot do, and that is said."""
    scheduler.answers = [(404, b""), (200, b'"Success"')]
    scheduler.run("drain", ADDRESS)
    assert capsys.readouterr().out.startswith(f"{ADDRESS} is drained: ")
    assert [path for path, _ in scheduler.asked] == ["/api/v1/admin/actions", f"/api/v1/admin/drain/{ADDRESS}"]
    scheduler.answers = [(404, b"")]
    for arguments in (
        ("drain", ADDRESS, "--reason", "disk"),
        ("drain", ADDRESS, "--until", "2h"),
        ("drain", ADDRESS, "--wait"),
        ("undrain", ADDRESS, "--preview"),
        ("resume",),
    ):
        assert "drains and undrains by whole addresses, and does nothing else" in scheduler.fails(*arguments)
    assert "knows whole addresses only" in scheduler.fails("drain", "build17")


def rows(*jobs: int, drain: Any = DRAINED) -> dict[str, Any]:
    """Documents of build servers: one has so many jobs, others have some as well."""
    mine = [{**SERVERS["servers"][1], "address": ADDRESS, "jobs": count, "drain": drain} for count in jobs]
    return {"v": 1, "servers": [SERVERS["servers"][0], *mine]}


def test_waiting(scheduler: AnsweringScheduler, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends when the last job is over, or the build server has left; what changes is printed."""
    scheduler.did("drained")
    scheduler.gives(rows(4), rows(4), rows(1), rows())
    scheduler.run("drain", ADDRESS, "--wait")
    out = capsys.readouterr().out.splitlines()
    assert out == ["drained", "4 jobs left", "1 job left", "no job is left, after 0 s"]


def test_waiting_in_vain(scheduler: AnsweringScheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends as well if somebody undrains it, if it may not look, or if the scheduler is away for long."""
    scheduler.did("drained")
    scheduler.gives(rows(4), rows(4, drain=None))
    assert f"{ADDRESS} is drained no longer" in scheduler.fails("drain", ADDRESS, "--wait")
    scheduler.answers.clear()
    scheduler.did("drained")
    scheduler.gives({"description": "no"}, status=403)
    assert "does not show that" in scheduler.fails("drain", ADDRESS, "--wait")
    monkeypatch.setattr(client_farm, "AWAY_SECS", 0.0)
    monkeypatch.setattr(Farm, "servers", _away)
    scheduler.answers.clear()
    scheduler.did("drained")
    assert "away" in scheduler.fails("drain", ADDRESS, "--wait")


def _away(*_: Any) -> Any:
    raise PeerError("away")


@pytest.mark.parametrize(
    "arguments",
    [
        ("drain",),
        ("drain", ADDRESS, "--until", "yesterday"),
        ("drain", ADDRESS, "--until", "2001-01-01"),
        ("drain", ADDRESS, "--until", "0s"),
        ("kill",),
        ("kill", "job", "x"),
        ("kill", "client"),
        ("pause",),
        ("forget", "server"),
        ("forget", "toolchain"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...]) -> None:
    """Status 2."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2


def test_no_token(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says which file is missing."""
    monkeypatch.delenv("SCCACHEDIST_TOKEN_FILE", raising=False)
    with pytest.raises(SystemExit) as ended:
        cli.main(("drain", ADDRESS, "--scheduler", "http://127.0.0.1:1"))
    assert "--token-file" in str(ended.value.code)
    assert "--config" in str(ended.value.code)
