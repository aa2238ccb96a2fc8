"""Where a command looks for the scheduler, and which token it shows."""

import json
import sys
from pathlib import Path

import pytest

from sccachedist.client.scheduler_address import INSECURE_TOKEN, Given, client_config, scheduler_place
from sccachedist.errors import ConfigError
from tests.support.proxy import Certificate

CLIENT = '[dist]\nscheduler_url = "{url}"\n[dist.auth]\ntype = "token"\ntoken = "of sccache"\n'
SCHEDULER = 'public_addr = "{address}"\nclient_auth = {client}\nserver_auth = {{ type = "DANGEROUSLY_INSECURE" }}\n'
TOKEN = '{ type = "token", token = "of clients" }'
FARM, OTHER = "https://farm.example:10600", "http://other.example"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A developer's, with the configuration of sccache alone."""
    path = tmp_path / ".config" / "sccache" / "config"
    path.parent.mkdir(parents=True)
    path.write_text(CLIENT.format(url=f"{FARM}/"))
    return tmp_path


def scheduler_conf(folder: Path, client: str = TOKEN, more: str = "", address: str = "10.0.0.1:10600") -> Path:
    path = folder / "scheduler.conf"
    path.write_text(SCHEDULER.format(client=client, address=address) + more)
    return path


def found(given: Given, home: Path, **variables: str) -> tuple[str, str | None]:
    place = scheduler_place(given, {"HOME": str(home), **variables})
    return place.url, place.token


def test_the_order(home: Path) -> None:
    """The command line, the environment, the scheduler's own file, that of sccache."""
    config = scheduler_conf(home)
    token = home / "token"
    token.write_text("of a file\n")
    assert found(Given(), home) == (FARM, "of sccache")
    assert found(Given(config=config), home) == ("http://10.0.0.1:10600", "of clients")
    assert found(Given(), home, SCCACHEDIST_SCHEDULER=OTHER) == (OTHER, None)
    assert found(Given(config=config), home, SCCACHEDIST_SCHEDULER=OTHER) == (OTHER, "of clients")
    assert found(Given(scheduler=FARM), home, SCCACHEDIST_SCHEDULER=OTHER) == (FARM, "of sccache")
    assert found(Given(), home, SCCACHEDIST_SCHEDULER="", SCCACHEDIST_TOKEN_FILE="") == (FARM, "of sccache")
    for given, variables in (
        (Given(token_file=token), {}),
        (Given(token_file=token, config=config), {}),
        (Given(token_file=token, scheduler=OTHER), {"SCCACHEDIST_TOKEN_FILE": "/none"}),
        (Given(scheduler=OTHER), {"SCCACHEDIST_TOKEN_FILE": str(token)}),
    ):
        assert found(given, home, **variables)[1] == "of a file"


def test_a_token_goes_to_its_own_scheduler_alone(home: Path) -> None:
    """That of sccache is shown to no other scheduler that is named."""
    assert found(Given(scheduler=OTHER), home) == (OTHER, None)
    assert found(Given(scheduler=f"{FARM}/"), home) == (FARM, "of sccache")
    assert "of sccache" not in repr(scheduler_place(Given(), {"HOME": str(home)}))


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"HOME": "/home/ann"}, "/home/ann/.config/sccache/config"),
        ({"HOME": "/home/ann", "XDG_CONFIG_HOME": "/etc/xdg"}, "/etc/xdg/sccache/config"),
        ({"HOME": "/home/ann", "XDG_CONFIG_HOME": "relative"}, "/home/ann/.config/sccache/config"),
        ({"HOME": "/home/ann", "SCCACHE_CONF": "my.conf"}, "my.conf"),
        ({"HOME": ""}, f"{Path.home()}/.config/sccache/config"),
    ],
)
def test_the_file_of_sccache(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], path: str) -> None:
    """It is found where sccache finds it."""
    monkeypatch.setattr(sys, "platform", "linux")
    assert client_config(variables) == Path(path)


def test_the_file_of_sccache_on_macos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In one of two folders."""
    monkeypatch.setattr(sys, "platform", "darwin")
    new, old = (tmp_path / "Library" / each / "Mozilla.sccache" for each in ("Application Support", "Preferences"))
    assert client_config({"HOME": str(tmp_path)}) == new / "config"
    old.mkdir(parents=True)
    (old / "config").touch()
    assert client_config({"HOME": str(tmp_path)}) == old / "config"


@pytest.mark.parametrize(
    ("client", "more", "token"),
    [
        (TOKEN, "", "of clients"),
        (TOKEN, '[admin]\ntoken = "of admins"\n', "of admins"),
        ('{ type = "DANGEROUSLY_INSECURE" }', "", INSECURE_TOKEN),
        ('{ type = "proxy_token", url = "http://tokens.example" }', "", None),
    ],
)
def test_the_file_of_a_scheduler(home: Path, client: str, more: str, token: str | None) -> None:
    """The administrators' token sees most; a scheduler may know none itself."""
    config = scheduler_conf(home, client, more, "[::]:10600")
    assert found(Given(config=config), home) == ("http://[::1]:10600", token)


def test_a_scheduler_with_tls(home: Path) -> None:
    """By its own file its certificate is known; --ca names authorities instead."""
    own = Certificate.make("127.0.0.1")
    (home / "own.pem").write_bytes(own.pem)
    config = scheduler_conf(home, more=f'[tls]\ncertificate = "{home}/own.pem"\nprivate_key = "{home}/own.key"\n')
    place = scheduler_place(Given(config=config), {})
    assert place.url == "https://10.0.0.1:10600"
    assert place.trust.pin is not None
    for given in (Given(config=config, authorities=Path("ca.pem")), Given(authorities=Path("ca.pem"))):
        trust = scheduler_place(given, {"HOME": str(home)}).trust
        assert (trust.pin, trust.authorities) == (None, Path("ca.pem"))


@pytest.mark.parametrize(
    ("auth", "kept", "token"),
    [
        ("", "", INSECURE_TOKEN),
        ('[dist.auth]\ntype = "oauth2_implicit"\nclient_id = "c"\nauth_url = "https://id.example"', "", None),
        (
            '[dist.auth]\ntype = "oauth2_implicit"\nclient_id = "c"\nauth_url = "https://id.example"',
            '[dist.auth_tokens]\n"https://id.example" = "of the provider"\n',
            "of the provider",
        ),
        ('[dist.auth]\ntype = "oauth2_implicit"\nauth_url = "https://id.example"', "dist.auth_tokens = 1", None),
    ],
)
def test_what_sccache_shows(home: Path, auth: str, kept: str, token: str | None) -> None:
    """Everybody's token where there is none, or the one that an identity provider gave it."""
    folder = home / ".config" / "sccache"
    (folder / "config").write_text(f'[dist]\nscheduler_url = "{FARM}/path"\n{auth}\n')
    if kept:
        (folder / "cached-config").write_text(kept)
    assert found(Given(), home) == (FARM, token)


def test_json(home: Path) -> None:
    """Where the name says so."""
    path = home / "config.json"
    path.write_text(json.dumps({"dist": {"scheduler_url": FARM, "auth": {"type": "token", "token": "t"}}}))
    assert found(Given(), home, SCCACHE_CONF=str(path)) == (FARM, "t")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "neither TOML"),
        ("a = " + "[" * 100_000, "neither TOML"),
        ("dist = 3", "dist: expected a table"),
        ("[dist]\nscheduler_url = 3", "dist.scheduler_url: expected a http or https URL"),
        ('[dist]\nscheduler_url = "ftp://farm"', "dist.scheduler_url: expected a http or https URL"),
        (f'[dist]\nscheduler_url = "{FARM}"\nauth = "hunter2"', "dist.auth: expected a table"),
        (f'[dist]\nscheduler_url = "{FARM}"\nauth = {{ type = "token", token = "hunter2\\n" }}', "dist.auth.token: "),
        ("", "no scheduler found: "),
        ("[cache.disk]", "no scheduler found: "),
        (b"\xff", "not UTF-8"),
        (None, "no scheduler found: "),
    ],
)
def test_bad_files(home: Path, text: str | bytes | None, said: str) -> None:
    """One line with the file and the key, and no secret."""
    path = home / "its.conf"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=r"^[^\n]*$") as raised:
        found(Given(), home, SCCACHE_CONF=str(path))
    assert said in str(raised.value)
    assert str(path) in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_bad_options(home: Path) -> None:
    """What is given in the environment and in files of tokens is checked alike."""
    empty = home / "empty"
    empty.touch()
    for given, variables, said in (
        (Given(), {"SCCACHEDIST_SCHEDULER": "farm"}, "SCCACHEDIST_SCHEDULER: expected a http or https URL"),
        (Given(token_file=home / "none"), {}, "none: cannot be read"),
        (Given(token_file=home), {}, "cannot be read: Is a directory"),
        (Given(token_file=empty), {}, "empty: expected a text that fits into a HTTP header"),
        (Given(config=home / "none"), {}, "none: cannot be read"),
    ):
        with pytest.raises(ConfigError, match=said):
            found(given, home, **variables)
