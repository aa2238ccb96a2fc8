"""What a check says of the scheduler that runs, when there is none or one that answers oddly."""

import json
import sys
from pathlib import Path

import pytest

from sccachedist.cli.check import run_check
from sccachedist.client.web_client import Question, Reply
from sccachedist.config import load_scheduler_settings
from sccachedist.config.changes import digests
from sccachedist.errors import ConfigError, PeerError

CONFIG = """\
public_addr = "127.0.0.1:10600"
client_auth = { type = "DANGEROUSLY_INSECURE" }
server_auth = { type = "DANGEROUSLY_INSECURE" }
[admin]
token = "hunter2"
"""
SALT = b"salt"


def check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, answer: Reply | PeerError
) -> str:
    """The line about the scheduler."""
    config = folder / "scheduler.conf"
    config.write_text(f"{CONFIG}[queue]\nmax_wait_secs = 1\n")

    def answered(question: Question, *_: object) -> Reply:
        assert (question.url, question.token) == ("http://127.0.0.1:10600/api/v1/admin/settings", "hunter2")
        if isinstance(answer, PeerError):
            raise answer
        return answer

    monkeypatch.setattr(Question, "ask", answered)
    run_check(config)
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"ok: {config} is a scheduler's configuration"
    return second.removeprefix("at a reload of the scheduler that runs: ")


def document(folder: Path, salt: str) -> bytes:
    """What a scheduler tells that runs with :data:`CONFIG`."""
    config = folder / "running.conf"
    config.write_text(CONFIG)
    return json.dumps({"v": 1, "salt": salt, "keys": digests(load_scheduler_settings(config), SALT)}).encode()


def test_what_differs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """By key, whatever the salt; of a scheduler that tells no salt, nothing is known."""
    good = Reply(200, document(tmp_path, SALT.hex()), None)
    assert check(monkeypatch, capsys, tmp_path, good) == "queue.max_wait_secs has changed"
    odd = Reply(200, document(tmp_path, "no salt"), None)
    said = "unknown, the scheduler at http://127.0.0.1:10600 answered what it should not"
    assert check(monkeypatch, capsys, tmp_path, odd) == said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (PeerError("connection refused"), "does not answer: connection refused"),
        (Reply(401, b"", None), "does not take admin.token of "),
        (Reply(404, b"", None), "has no farm API"),
    ],
)
def test_unknown(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    answer: Reply | PeerError,
    said: str,
) -> None:
    """Why it is not known is told; the file is good all the same."""
    found = check(monkeypatch, capsys, tmp_path, answer)
    assert found.startswith(f"unknown, the scheduler at http://127.0.0.1:10600 {said}")


def test_a_cluster_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is missed before the scheduler is restarted with that file, and not only then."""
    monkeypatch.setitem(sys.modules, "txredisapi", None)
    monkeypatch.delitem(sys.modules, "sccachedist.cluster.redis_store", raising=False)
    config = tmp_path / "scheduler.conf"
    config.write_text(f'{CONFIG}[cluster]\nlock = "redis://10.0.0.9"\nschedulers = ["http://127.0.0.1:10600"]\n')
    with pytest.raises(ConfigError, match=r"^cluster: needs txredisapi"):
        run_check(config)
