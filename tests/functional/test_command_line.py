"""The ``sccachedist`` command as an operator uses it, beside the published ``sccache-dist``."""

import contextlib
import json
import re
import socket
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import CHECKOUT, INSECURE, OUR_SCHEDULER, PROGRAMS, PUBLISHED_SCHEDULER, Launch, replacing
from farmkit.processes import Command, inherited
from farmkit.published_client import Client
from sccachedist import __version__
from sccachedist.wire.bincode import encode
from sccachedist.wire.messages import JOB_STATE, JobState

pytestmark = pytest.mark.functional

Tool = Callable[..., Command]


def published(folder: Path, *arguments: str) -> Command:
    """The published command."""
    return Command((str(PROGRAMS / "sccache-dist"), *arguments), inherited(), folder)


def ours(folder: Path, *arguments: str, **variables: str) -> Command:
    """Our command, behind a link with the name of the published one."""
    program, link = folder / "sccachedist", folder / "sccache-dist"
    program.write_text(f"#!{sys.executable}\nfrom sccachedist.cli.main import main\nmain()\n")
    program.chmod(0o755)
    link.unlink(missing_ok=True)
    link.symlink_to(program)
    return Command((str(link), *arguments), inherited(PYTHONPATH=str(CHECKOUT), **variables), folder)


def said(command: Command) -> str:
    ended = command.run()
    assert ended.returncode == 0, ended
    return ended.stdout.strip()


@pytest.mark.parametrize(
    ("scheduler", "taken"), [(OUR_SCHEDULER, 200), (PUBLISHED_SCHEDULER, 500)], ids=["ours", "published"]
)
@pytest.mark.parametrize("tool", [ours, published])
def test_tokens_are_exchangeable(tmp_path: Path, tool: Tool, scheduler: Launch, taken: int) -> None:
    """A key and a token that either command made are good for either scheduler; a token of another key is not.

    What is said of a job of which a scheduler knows nothing, ours takes, and the published one does not.
    """
    keys = [said(tool(tmp_path, "auth", "generate-jwt-hs256-key")) for _ in range(2)]
    server = ("auth", "generate-jwt-hs256-server-token", "--server", "127.0.0.1:10501")
    good, bad = (said(tool(tmp_path, *server, f"--secret-key={key}")) for key in keys)  # some begin with a dash
    farm = Farm(tmp_path, replacing(scheduler, server_auth=f'type = "jwt_hs256"\nsecret_key = "{keys[0]}"'))
    farm.start_scheduler()
    try:
        assert (report_job(farm, good), report_job(farm, bad)) == (taken, 401)
        config = str(tmp_path / "scheduler" / "scheduler.conf")
        assert said(tool(tmp_path, *server, "--config", config)) == good
    finally:
        farm.stop()


def report_job(farm: Farm, token: str) -> int:
    """The status that a build server gets for a job that there is not: 401 where its token is not good."""
    connection = HTTPConnection("127.0.0.1", farm.scheduler_port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream", "Connection": "close"}
    connection.request("POST", "/api/v1/scheduler/job_state/7", encode(JOB_STATE, JobState.STARTED), headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("auth",),
        ("auth", "generate-shared-token", "--bits", "65"),
        ("auth", "generate-jwt-hs256-server-token", "--server", "127.0.0.1:10501"),
        ("auth", "generate-jwt-hs256-server-token", "--server", "127.0.0.1:10501", "--secret-key", "!"),
        ("auth", "generate-jwt-hs256-server-token", "--server", "127.0.0.1:10501", "--config", "none.conf"),
        ("scheduler",),
        ("scheduler", "--config", "none.conf"),
        ("scheduler", "--config", "none.conf", "--syslog", "loud"),
        ("server", "--config", "none.conf"),
    ],
    ids=" ".join,
)
def test_exit_statuses(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """What is wrong ends both commands with the same status, and ours without a traceback."""
    ended = ours(tmp_path, *arguments).run()
    assert ended.returncode == published(tmp_path, *arguments).run().returncode != 0
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("levels", "shown", "hidden"),
    [
        ("info", ["#warn] client_auth is DANGEROUSLY_INSECURE"], ["answered 200", "is not understood"]),
        ("debug", ["#warn] client_auth", "answered 200"], []),
        ("error,sccachedist.web=trace", ["answered 200"], ["DANGEROUSLY_INSECURE"]),
        ("error,loud", ["SCCACHE_LOG: 'loud' is not understood"], ["DANGEROUSLY_INSECURE", "answered 200"]),
    ],
)
def test_levels(tmp_path: Path, levels: str, shown: list[str], hidden: list[str]) -> None:
    """A role in the foreground logs what SCCACHE_LOG asks for, to the terminal."""

    def launch(config: Path) -> Command:
        return ours(tmp_path, "scheduler", "--config", str(config), SCCACHE_LOG=levels, SCCACHE_NO_DAEMON="1")

    farm = Farm(tmp_path, replacing(launch, client_auth=INSECURE))
    farm.start_scheduler()
    try:
        assert farm.status().num_servers == 0
    finally:
        farm.stop()
    log = farm.scheduler.log.read_text()
    assert [text for text in shown if text not in log] == []
    assert [text for text in hidden if text in log] == []


@pytest.mark.parametrize(("level", "shown"), [("warn", ["INSECURE"]), ("debug", ["INSECURE", "answered 200"])])
def test_syslog(tmp_path: Path, level: str, shown: list[str]) -> None:
    """With ``--syslog`` a role tells the host's syslog what has this level, and the terminal nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(tmp_path / "log"))

        def launch(config: Path) -> Command:
            command = ours(tmp_path, "scheduler", "--config", str(config), "--syslog", level)
            view = ("--bind", "/", "/", "--dev", "/dev", "--bind", str(tmp_path / "log"), "/dev/log")
            return attrs.evolve(command, arguments=("bwrap", "--die-with-parent", *view, *command.arguments))

        farm = Farm(tmp_path, replacing(launch, client_auth=INSECURE))
        farm.start_scheduler()
        try:
            assert farm.status().num_servers == 0
        finally:
            farm.stop()
        told = received(syslog)
    assert [text for text in ("INSECURE", "answered 200") if any(text in line for line in told)] == shown
    assert {line for line in told if not re.match(r"<\d+>.{15} sccachedist: ", line)} == set()
    assert farm.scheduler.log.read_text() == ""


def received(syslog: socket.socket) -> list[str]:
    """All that has come in."""
    lines = []
    syslog.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            lines.append(syslog.recv(4096).decode())
    return lines


def test_a_published_client_reads_the_status(tmp_path: Path) -> None:
    """``sccache --dist-status`` is not put off by the version that our scheduler adds to its JSON form."""
    farm = Farm(tmp_path)
    farm.start_scheduler()
    try:
        told = json.loads(farm.ask("status"))
        assert told["version"] == __version__
        with Client(tmp_path / "client", farm.scheduler_url, farm.client_token, tmp_path / "toolchains") as client:
            status = Command((str(client.sccache), "--dist-status"), client.environment, tmp_path).run()
        (shown,) = json.loads(status.stdout)["SchedulerStatus"][1:]
        assert shown == {name: told[name] for name in ("num_servers", "num_cpus", "in_progress")}
    finally:
        farm.stop()
