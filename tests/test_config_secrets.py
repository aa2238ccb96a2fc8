"""Secrets in files of their own, and what others may read."""

from pathlib import Path

import pytest

from sccachedist.config import (
    JwtHs256,
    RemoteBuilderSettings,
    TokenAuth,
    exposed_secrets,
    load_scheduler_settings,
    load_server_settings,
)
from sccachedist.config.secrets import CREDENTIALS
from sccachedist.errors import ConfigError

KEY = "-KjX9vDeUIrCHWSJUM_bYS4ZaQNbCxGj2VMB8k1vQOc"
CONFIG = """\
public_addr = "127.0.0.1:10600"
[client_auth]
type = "token"
token_file = "client.token"
[server_auth]
type = "jwt_hs256"
secret_key_file = "{folder}/server.key"
"""

SERVER = """\
public_addr = "127.0.0.1:10501"
scheduler_url = "http://127.0.0.1:10600"
cache_dir = "/tmp/cache"
[builder]
type = "remote"
tokens_file = "workers"
[scheduler_auth]
type = "DANGEROUSLY_INSECURE"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with both secrets in files."""
    for name, text in (
        ("scheduler.conf", CONFIG.format(folder=tmp_path)),
        ("client.token", "the client's\n"),
        ("server.key", KEY + "\n"),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return tmp_path / "scheduler.conf"


def test_in_files(config: Path) -> None:
    """A file's last newline is none of the secret's; relative paths are relative to the configuration file."""
    settings = load_scheduler_settings(config)
    assert settings.client_auth == TokenAuth("the client's")
    assert isinstance(settings.server_auth, JwtHs256)
    assert len(settings.server_auth.secret_key) == 32
    assert exposed_secrets(config) == []


def test_of_before(config: Path, tmp_path: Path) -> None:
    """Those that a rotation has replaced may stand in files of their own as well."""
    lines = config.read_text().replace("[server", 'previous_token_file = "old.token"\n[server')
    config.write_text(
        f'{lines}previous_secret_key_file = "old.key"\nrevoked = ["10.0.0.7:10501", "10.0.0.8", "2001:db8::1"]\n'
    )
    for name, text in (("old.token", "the one before\n"), ("old.key", "A" * 43 + "\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644)
    settings = load_scheduler_settings(config)
    assert settings.client_auth == TokenAuth("the client's", "the one before")
    assert isinstance(settings.server_auth, JwtHs256)
    assert settings.server_auth.previous_secret_key == bytes(32)
    assert list(map(str, settings.server_auth.revoked)) == ["10.0.0.7:10501", "10.0.0.8", "2001:db8::1"]
    assert {path.name for path, _ in exposed_secrets(config)} == {"old.token", "old.key"}


def test_credentials(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What systemd was told to load goes before what stands beside the configuration file."""
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "client.token").write_text("systemd's")
    monkeypatch.setenv(CREDENTIALS, str(tmp_path / "credentials"))
    assert load_scheduler_settings(config).client_auth == TokenAuth("systemd's")


def test_of_viewers(config: Path, tmp_path: Path) -> None:
    """Theirs has a key of its own."""
    (tmp_path / "viewer.token").write_text("the viewers'\n")
    (tmp_path / "viewer.token").chmod(0o644)
    config.write_text(config.read_text() + '[web]\nviewer_token_file = "viewer.token"\n')
    assert load_scheduler_settings(config).web.viewer_token == "the viewers'"
    assert exposed_secrets(config) == [(tmp_path / "viewer.token", "0644")]


@pytest.mark.parametrize("name", ["scheduler.conf", "client.token", "server.key"])
def test_exposed(config: Path, tmp_path: Path, name: str) -> None:
    """Files with secrets that others may read are found; one that only says where they are is none of them."""
    (tmp_path / name).chmod(0o644)
    expected = [] if name == "scheduler.conf" else [(tmp_path / name, "0644")]
    assert exposed_secrets(config) == expected
    config.write_text(CONFIG.replace("token_file", "token").format(folder=tmp_path))
    config.chmod(0o604)
    assert (config, "0604") in exposed_secrets(config)


@pytest.mark.parametrize(
    ("mode", "is_shared", "is_exposed"), [(0o640, False, False), (0o640, True, True), (0o660, False, True)]
)
def test_of_a_group(
    config: Path, monkeypatch: pytest.MonkeyPatch, mode: int, is_shared: bool, is_exposed: bool
) -> None:
    """A group may read a file if it has no other users, as that of a daemon has none; it may not write it."""
    monkeypatch.setattr("sccachedist.config.secrets.is_shared", lambda *_: is_shared)
    config.write_text(CONFIG.replace("token_file", "token").format(folder=config.parent))
    config.chmod(mode)
    assert (config in dict(exposed_secrets(config))) is is_exposed


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("client.token", "elsewhere"), "client_auth.token_file: .*elsewhere cannot be read: No such file"),
        (('"client.token"', "7"), "client_auth.token_file: expected a path"),
        (("token_file", 'token = "x"\ntoken_file'), "client_auth.token_file: client_auth.token is given as well"),
        (("token_file", "tokenfile"), "client_auth.tokenfile: unknown key, did you mean token?"),
    ],
)
def test_wrong(config: Path, change: tuple[str, str], error: str) -> None:
    """An error names the file, the key and what is wrong."""
    config.write_text(config.read_text().replace(*change))
    with pytest.raises(ConfigError, match=f"^{config}: {error}"):
        load_scheduler_settings(config)


def test_several(tmp_path: Path) -> None:
    """The tokens of workers stand in a file of their own, one on each line."""
    config, tokens = tmp_path / "server.conf", tmp_path / "workers"
    config.write_text(SERVER)
    tokens.write_text("first\n\nsecond\n")
    tokens.chmod(0o600)
    builder = load_server_settings(config).builder
    assert builder == RemoteBuilderSettings(("first", "second"))
    assert "first" not in repr(builder)
    assert exposed_secrets(config) == []
    tokens.write_text("\n")
    with pytest.raises(ConfigError, match=r"builder.tokens: expected a list of 1 or more"):
        load_server_settings(config)


def test_no_secret(config: Path, tmp_path: Path) -> None:
    """What a secret has to be is said of the key that it stands for, and nothing of it is quoted."""
    (tmp_path / "server.key").write_text("hunter2")
    with pytest.raises(ConfigError, match=r"server_auth.secret_key: expected 32 bytes") as raised:
        load_scheduler_settings(config)
    assert "hunter2" not in str(raised.value)
