"""The ``sccachedist`` command: what it prints, how it starts a role, and how it ends where something is wrong."""

import base64
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from sccachedist import __version__
from sccachedist.cli import main as cli
from sccachedist.cli import role
from sccachedist.wire.addresses import ServerId
from sccachedist.wire.secret_key import decode_secret_key
from sccachedist.wire.tokens import read_server_token

CHECKOUT = Path(__file__).parents[1]
KEY = bytes(range(32))
KEY_TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
SERVER = "192.168.1.2:10501"
#: What ``sccache-dist`` 0.16.0 prints for that key and server.
TOKEN = (
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJleHAiOjAsInNlcnZlcl9pZCI6IjE5Mi4xNjguMS4yOjEwNTAxIn0."
    "ySLQu8MmoKd2bVn50QQM6PEOmebOtp5iKz5SzDo0xCw"
)
SERVER_TOKEN = ("auth", "generate-jwt-hs256-server-token")
SCHEDULER = 'public_addr = "127.0.0.1:10600"\nclient_auth = { type = "token", token = "hunter2" }\n'


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command prints."""
    cli.main(arguments)
    (line,) = capsys.readouterr().out.splitlines()
    return line


def scheduler_config(folder: Path, server_auth: str) -> str:
    config = folder / "scheduler.conf"
    config.write_text(f"{SCHEDULER}server_auth = {server_auth}\n")
    return str(config)


def test_key(capsys: pytest.CaptureFixture[str]) -> None:
    """A key is one that a configuration takes, and another one each time."""
    keys = {decode_secret_key(printed(capsys, "auth", "generate-jwt-hs256-key")) for _ in range(3)}
    assert len(keys) == 3


@pytest.mark.parametrize(("options", "size"), [((), 32), (("--bits", "64"), 8), (("--bits=4096",), 512)])
def test_shared_token(capsys: pytest.CaptureFixture[str], options: tuple[str, ...], size: int) -> None:
    """A shared token is unpadded base64url of as many bits as one likes, and another one each time."""
    tokens = {printed(capsys, "auth", "generate-shared-token", *options) for _ in range(3)}
    assert len(tokens) == 3
    for token in tokens:
        assert len(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))) == size
        assert "=" not in token


def test_server_token(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A build server's token is the same as the published command makes it, wherever the key comes from."""
    arguments = (*SERVER_TOKEN, "--server", SERVER)
    assert printed(capsys, *arguments, "--secret-key", KEY_TEXT) == TOKEN
    config = scheduler_config(tmp_path, f'{{ type = "jwt_hs256", secret_key = "{KEY_TEXT}" }}')
    assert printed(capsys, *arguments, "--config", config) == TOKEN


def test_server_token_for_ipv6(capsys: pytest.CaptureFixture[str]) -> None:
    """An IPv6 address is written as elsewhere."""
    token = printed(capsys, *SERVER_TOKEN, "--server=[2001:DB8::1]:10501", "--secret-key", KEY_TEXT)
    assert read_server_token(token, KEY) == ServerId.parse("[2001:db8::1]:10501")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("auth",),
        ("conquer",),
        ("scheduler",),
        ("server", "--config"),
        ("scheduler", "--config", "x.conf", "--syslog", "loud"),
        ("auth", "generate-jwt-hs256-key", "more"),
        *(
            ("auth", "generate-shared-token", "--bits", bits)
            for bits in ("", "0", "56", "65", "4104", "-64", "6e1", "¼")
        ),
        *(
            ("drain", SERVER, "--config", "x.conf", "--scheduler", url)
            for url in ("ftp://farm.example", "file:///etc/passwd", "farm.example:10600", "", "https://")
        ),
        (*SERVER_TOKEN, "--server", SERVER),
        (*SERVER_TOKEN, "--secret-key", KEY_TEXT),
        (*SERVER_TOKEN, "--server", SERVER, "--secret-key", KEY_TEXT, "--config", "x.conf"),
        *(
            (*SERVER_TOKEN, "--server", server, "--secret-key", KEY_TEXT)
            for server in ("", "farm.example:10501", "192.168.1.2", "192.168.1.2:65536", "::1:10501")
        ),
        *(
            (*SERVER_TOKEN, "--server", SERVER, "--secret-key", key)
            for key in ("", "hunter2", KEY_TEXT[:-1], f"{KEY_TEXT}=", f"{KEY_TEXT}A")
        ),
    ],
)
def test_wrong_arguments(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    """Status 2, as of the published command, and a line that says what is wrong without quoting a key."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert ": error: " in shown.err.splitlines()[-1]
    assert not {KEY_TEXT, "hunter2"} & set(shown.err.replace("'", " ").split())


@pytest.mark.parametrize(
    ("server_auth", "said"),
    [
        ('{ type = "token", token = "hunter2" }', "server_auth.type: expected jwt_hs256"),
        ('{ type = "jwt_hs256", secret_key = "hunter2" }', "server_auth.secret_key: expected "),
        ("{", "not TOML"),
    ],
)
def test_configuration_without_a_key(tmp_path: Path, server_auth: str, said: str) -> None:
    """One line with the file, what is wrong and no secret, and status 1."""
    config = scheduler_config(tmp_path, server_auth)
    with pytest.raises(SystemExit) as ended:
        cli.main((*SERVER_TOKEN, "--server", SERVER, "--config", config))
    line = str(ended.value.code)
    assert f"{config}: {said}" in line
    assert "\n" not in line
    assert "hunter2" not in line


@pytest.fixture
def twistd(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that ``twistd`` would have run, with the log levels that it would have seen."""
    ran: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["sccachedist"])
    monkeypatch.setenv("SCCACHE_LOG", "info")
    monkeypatch.setattr(role, "run", lambda: ran.append([*sys.argv[1:], os.environ["SCCACHE_LOG"]]))
    return ran


@pytest.mark.parametrize(("role", "plugin"), [("scheduler", "sccache-scheduler"), ("server", "sccache-server")])
def test_role(twistd: list[list[str]], role: str, plugin: str) -> None:
    """A role runs in the foreground, leaves no PID file, and logs to the terminal or to syslog."""
    cli.main((role, "--config", "a b.conf"))
    cli.main((role, "--config", "b.conf", "--syslog", "debug"))
    foreground = ["--nodaemon", "--pidfile="]
    assert twistd == [
        [*foreground, plugin, "--config=a b.conf", "info"],
        [*foreground, "--syslog", "--prefix=sccachedist", plugin, "--config=b.conf", "debug"],
    ]


def test_twistd(twistd: list[list[str]]) -> None:
    """All that follows is for twistd alone, also what looks like an option."""
    told = ["--pidfile", "a.pid", "--help", "-n", "sccache-server", "--config=b.conf"]
    cli.main(("twistd", *told))
    cli.main(("twistd",))
    assert twistd == [[*told, "info"], ["info"]]
    assert sys.argv[0] == "twistd"


def test_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Called as ``sccache-dist``, it goes by that name in all that it says."""
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/sccache-dist"])
    with pytest.raises(SystemExit):
        cli.main(("--help",))
    assert capsys.readouterr().out.startswith("usage: sccache-dist ")
    with pytest.raises(SystemExit, match=r"^sccache-dist: "):
        cli.main((*SERVER_TOKEN, "--server", SERVER, "--config", str(tmp_path / "none.conf")))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """It is that of the installed package, wherever one asks."""
    with pytest.raises(SystemExit) as ended:
        cli.main(("--version",))
    assert ended.value.code in (None, 0)
    assert capsys.readouterr().out == f"sccachedist {__version__}\n"
    assert metadata.version("sccachedist") == __version__


def test_module() -> None:
    """``python -m sccachedist`` is the same command, under its own name."""
    for arguments, begin in (("--version", f"sccachedist {__version__}\n"), ("--help", "usage: sccachedist ")):
        command = [sys.executable, "-m", "sccachedist", arguments]
        ran = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
        assert ran.stdout.startswith(begin)


SERVER_CONFIG = """\
cache_dir = "/c"
public_addr = "127.0.0.1:10501"
scheduler_url = "http://127.0.0.1:10600"
builder = { type = "overlay", build_dir = "/b", bwrap_path = "/usr/bin/bwrap" }
scheduler_auth = { type = "DANGEROUSLY_INSECURE" }
"""


def test_check(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A configuration that a daemon would take is said to be good, and whose it is."""
    scheduler = scheduler_config(tmp_path, '{ type = "DANGEROUSLY_INSECURE" }')
    assert printed(capsys, "check", "--config", scheduler) == f"ok: {scheduler} is a scheduler's configuration"
    server = tmp_path / "server.conf"
    server.write_text(SERVER_CONFIG)
    assert printed(capsys, "check", "--config", str(server)) == f"ok: {server} is a build server's configuration"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SERVER_CONFIG + "[limits]\njob_sec = 1\n", "limits.job_sec: "),
        (
            SCHEDULER + 'server_auth = { type = "DANGEROUSLY_INSECURE" }\n[queue]\nmax_wait_secs = -1\n',
            "queue.max_wait_secs: expected ",
        ),
        ('cache_dir = "/c"\n', "public_addr: missing"),
        ("[dist]\n", "this is a client's configuration"),
        ("{", "not TOML"),
        (None, "cannot be read"),
    ],
)
def test_check_says_what_is_wrong(tmp_path: Path, text: str | None, said: str) -> None:
    """One line with the file and the key, about the role that the file is for, and status 1."""
    config = tmp_path / "daemon.conf"
    if text is not None:
        config.write_text(text)
    with pytest.raises(SystemExit, match=rf"^[\w.-]+: {config}: {said}[^\n]*$"):
        cli.main(("check", "--config", str(config)))
