"""Configuration files that are taken, what they mean, and how the documentation lists them."""

import json
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import Any

import attrs
import pytest

from sccachedist.config import (
    AdminSettings,
    ConnectionLimits,
    DockerBuilderSettings,
    InsecureAuth,
    JwtHs256,
    JwtToken,
    JwtValidate,
    NetworkSettings,
    OverlayBuilderSettings,
    OwnToken,
    PersonSettings,
    PotBuilderSettings,
    ProxyToken,
    RewrittenSettings,
    SandboxSettings,
    SchedulerLimits,
    SchedulerSettings,
    ServerLimits,
    ServerSettings,
    ServersTokenAuth,
    ShutdownSettings,
    TokenAuth,
    WebSettings,
    load_scheduler_settings,
    load_server_settings,
)
from sccachedist.config.changes import effects
from sccachedist.config.reference import KeyRow, reloaded, sections
from sccachedist.config.schema import keys_of
from sccachedist.wire.addresses import ServerId
from tests.support.config_lines import (
    ADDR,
    BUILDER,
    CACHE,
    CLIENT_AUTH,
    HERE,
    INSECURE,
    KEY,
    KEY_TEXT,
    SCHEDULER,
    SCHEDULER_AUTH,
    SECRET,
    SERVER,
    SERVER_AUTH,
    URL,
)

THE_SCHEDULER = SchedulerSettings(
    public_addr=ServerId(IPv4Address("127.0.0.1"), 10600),
    client_auth=InsecureAuth(),
    server_auth=InsecureAuth(),
)
THE_SERVER = ServerSettings(
    cache_dir=Path("/tmp/toolchains"),
    public_addr=ServerId(IPv4Address("192.168.1.1"), 10501),
    scheduler_url="https://192.168.1.1",
    builder=OverlayBuilderSettings(Path("/tmp/build"), Path("/usr/bin/bwrap")),
    scheduler_auth=JwtToken("my server's token"),
)


def scheduler(path: Path, text: str) -> SchedulerSettings:
    path.write_text(text, encoding="utf-8")
    return load_scheduler_settings(path)


def server(path: Path, text: str) -> ServerSettings:
    path.write_text(text, encoding="utf-8")
    return load_server_settings(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dist.conf"


@pytest.mark.parametrize(
    ("written", "auth"),
    [
        (INSECURE, InsecureAuth()),
        ('{ type = "DANGEROUSLY_INSECURE", token = "left over" }', InsecureAuth()),
        ('{ type = "token", token = "my client token" }', TokenAuth("my client token")),
        ('{ type = "token", token = "clé" }', TokenAuth("clé")),
        ('{ type = "proxy_token", url = "http://h/check" }', ProxyToken("http://h/check", None)),
        ('{ type = "proxy_token", url = "https://h?x=1", cache_secs = 60 }', ProxyToken("https://h?x=1", 60)),
        (
            '{ type = "jwt_validate", audience = "a", issuer = "i", jwks_url = "https://idp/keys" }',
            JwtValidate("a", "i", "https://idp/keys"),
        ),
    ],
)
def test_every_kind_of_client_auth(path: Path, written: str, auth: object) -> None:
    """Whatever the published scheduler takes as ``client_auth`` is taken."""
    assert scheduler(path, f"{ADDR}{SERVER_AUTH}client_auth = {written}\n").client_auth == auth


@pytest.mark.parametrize(
    ("written", "auth"),
    [
        (INSECURE, InsecureAuth()),
        ('{ type = "token", token = "YOUR_TOKEN_HERE" }', ServersTokenAuth("YOUR_TOKEN_HERE")),
        (
            '{ type = "token", token = "new", previous_token = "old", revoked = ["192.0.2.7:10501", "192.0.2.8"] }',
            ServersTokenAuth("new", "old", (ServerId.parse("192.0.2.7:10501"), IPv4Address("192.0.2.8"))),
        ),
        (f'{{ type = "jwt_hs256", secret_key = "{KEY_TEXT}" }}', JwtHs256(KEY)),
    ],
)
def test_every_kind_of_server_auth(path: Path, written: str, auth: object) -> None:
    """Whatever the published scheduler takes as ``server_auth`` is taken, a key decoded."""
    assert scheduler(path, f"{ADDR}{CLIENT_AUTH}server_auth = {written}\n").server_auth == auth


@pytest.mark.parametrize(
    ("written", "auth"),
    [
        (INSECURE, InsecureAuth()),
        ('{ type = "token", token = "preshared token" }', OwnToken("preshared token")),
        ('{ type = "jwt_token", token = "a.b.c" }', JwtToken("a.b.c")),
    ],
)
def test_every_kind_of_scheduler_auth(path: Path, written: str, auth: object) -> None:
    """Whatever the published build server takes as ``scheduler_auth`` is taken."""
    assert server(path, f"{CACHE}{HERE}{URL}{BUILDER}scheduler_auth = {written}\n").scheduler_auth == auth


@pytest.mark.parametrize(
    ("written", "builder"),
    [
        ('type = "docker"\nbuild_dir = "/left/over"', DockerBuilderSettings()),
        (
            'type = "overlay"\nbuild_dir = "/b"\nbwrap_path = "bwrap"',
            OverlayBuilderSettings(Path("/b"), Path("bwrap")),
        ),
        (
            'type = "pot"',
            PotBuilderSettings(Path("/opt/pot"), "sccache-template", Path("pot"), ("-i", "lo0|127.0.0.2")),
        ),
        (
            'type = "pot"\npot_fs_root = "/p"\nclone_from = "c"\npot_cmd = "/bin/pot"\npot_clone_args = []',
            PotBuilderSettings(Path("/p"), "c", Path("/bin/pot"), ()),
        ),
    ],
)
def test_every_kind_of_builder(path: Path, written: str, builder: object) -> None:
    """Whatever the published build server takes as ``[builder]`` is taken."""
    assert server(path, f"{CACHE}{HERE}{URL}{SCHEDULER_AUTH}[builder]\n{written}\n").builder == builder


@pytest.mark.parametrize(
    ("written", "changes"),
    [
        ("", {}),
        (
            "[limits]\nmessage_bytes = 1_000\nunclaimed_jobs = 60",
            {"limits": SchedulerLimits(message_bytes=1000, unclaimed_jobs=60)},
        ),
        (
            '[network]\ntrusted_proxies = ["10.0.0.0/8", "::1"]',
            {"network": NetworkSettings((ip_network("10.0.0.0/8"), ip_network("::1/128")))},
        ),
        (
            '[network.servers_from."10.244.0.0/16"]\naddresses = ["192.168.1.0/24"]\n'
            '[network.servers_from."10.1.0.7"]\naddresses = ["::1"]',
            {
                "network": NetworkSettings(
                    servers_from={
                        "10.244.0.0/16": RewrittenSettings((ip_network("192.168.1.0/24"),)),
                        "10.1.0.7/32": RewrittenSettings((ip_network("::1"),)),
                    }
                )
            },
        ),
    ],
)
def test_scheduler_tables_of_our_own(path: Path, written: str, changes: dict[str, Any]) -> None:
    """The published keys are enough; our own tables change what they name and leave the rest."""
    assert scheduler(path, f"{SCHEDULER}{written}\n") == attrs.evolve(THE_SCHEDULER, **changes)


@pytest.mark.parametrize(
    ("written", "changes"),
    [
        ("", {"bind_address": THE_SERVER.public_addr, "toolchain_cache_size": 10 * 2**30}),
        ("toolchain_cache_size = 0", {"toolchain_cache_size": 0}),
        ('bind_address = "[::]:10501"', {"bind_address": ServerId(IPv6Address("::"), 10501)}),
        ("[sandbox]\nscratch_bytes = 5", {"sandbox": SandboxSettings(5)}),
        ("[shutdown]\ngrace_secs = 0", {"shutdown": ShutdownSettings(0)}),
        ("[limits]\noutputs = 7", {"limits": ServerLimits(outputs=7)}),
    ],
)
def test_optional_server_keys(path: Path, written: str, changes: dict[str, Any]) -> None:
    """What a build server's file leaves out has its default; ``bind_address`` follows ``public_addr``."""
    assert server(path, f"{SERVER}{written}\n") == attrs.evolve(THE_SERVER, **changes)


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("http://127.0.0.1:10600", "http://127.0.0.1:10600"),
        ("HTTPS://farm.example/", "https://farm.example"),
        ("http://[::1]:5", "http://[::1]:5"),
        ("127.0.0.1:10600", "http://127.0.0.1:10600"),
    ],
)
def test_scheduler_url(path: Path, written: str, url: str) -> None:
    """A scheduler is named by a URL, or by its address alone, which means http."""
    assert server(path, SERVER.replace("https://192.168.1.1", written)).scheduler_url == url


def test_json_by_the_name_of_the_file(tmp_path: Path) -> None:
    """A file whose name ends in ``.json`` is JSON; a null in it is a key left out."""
    document = {
        "public_addr": "127.0.0.1:10600",
        "client_auth": {"type": "proxy_token", "url": "http://h", "cache_secs": None},
        "server_auth": {"type": "DANGEROUSLY_INSECURE"},
    }
    loaded = scheduler(tmp_path / "dist.json", json.dumps(document))
    assert loaded == attrs.evolve(THE_SCHEDULER, client_auth=ProxyToken("http://h"))


@pytest.mark.parametrize("text", ["\ufeff" + SCHEDULER, SCHEDULER.replace("\n", "\r\n")])
def test_files_from_windows(path: Path, text: str) -> None:
    """A byte order mark and CRLF do no harm."""
    path.write_bytes(text.encode())
    assert load_scheduler_settings(path) == THE_SCHEDULER


@pytest.mark.parametrize(
    "settings",
    [
        TokenAuth(SECRET, SECRET),
        ServersTokenAuth(SECRET, SECRET),
        OwnToken(SECRET),
        JwtToken(SECRET),
        JwtHs256(SECRET.encode(), SECRET.encode()),
        attrs.evolve(THE_SERVER, scheduler_auth=JwtToken(SECRET)),
        attrs.evolve(THE_SCHEDULER, client_auth=TokenAuth(SECRET), server_auth=JwtHs256(SECRET.encode())),
        attrs.evolve(THE_SCHEDULER, web=WebSettings(viewer_token=SECRET)),
        attrs.evolve(THE_SCHEDULER, admin=AdminSettings(SECRET, {"ann": PersonSettings(SECRET)})),
    ],
)
def test_settings_do_not_show_secrets(settings: object) -> None:
    """Settings may be logged: their text has no secret in it."""
    assert SECRET not in f"{settings} {settings!r}"


def test_limits_that_both_roles_have() -> None:
    """Each reference shows the limits that have an effect in its file: those of connections in both, others in one."""
    scheduler_keys, server_keys = (
        {row.name for section in sections(settings) if section.heading == "[limits]" for row in section.rows}
        for settings in (SchedulerSettings, ServerSettings)
    )
    assert scheduler_keys & server_keys == keys_of(ConnectionLimits).keys()
    assert "unclaimed_jobs" in scheduler_keys - server_keys
    assert "job_secs" in server_keys - scheduler_keys


def test_the_reference_has_every_key() -> None:
    """The documentation shows every key of a file with its default, in the section where it is written."""
    found = {section.heading: {row.name: row for row in section.rows} for section in sections(ServerSettings)}
    assert found['[builder] type = "docker"'] == {}
    assert list(found["[limits]"]) == [field.name for field in attrs.fields(ServerLimits)]
    assert (
        found[""].keys()
        | {"docker", "heartbeat", "capacity", "policy", "sandbox", "shutdown", "log", "metrics", "records", "limits"}
        | {"toolchains", "network"}
        == keys_of(ServerSettings).keys()
    )
    assert found[""]["toolchain_cache_size"] == KeyRow(
        "toolchain_cache_size",
        "a number of bytes",
        False,
        "10737418240 (10 GiB)",
        "The most bytes of the kept toolchain archives.",
    )
    assert found[""]["bind_address"].default == ""
    assert found['[builder] type = "overlay"']["build_dir"].required
    assert found['[builder] type = "pot"']["pot_clone_args"].default == '["-i", "lo0|127.0.0.2"]'
    assert found["[shutdown]"]["grace_secs"].default == "60"


def test_the_reference_has_tables_under_names() -> None:
    """Tables whose names an operator chooses have a section of their own, behind that of the table around them."""
    found = [section.heading for section in sections(SchedulerSettings)]
    assert found.index("[admin.people.NAME]") == found.index("[admin]") + 1


def test_people(path: Path) -> None:
    """Administrators by name; a digest may be in capital letters."""
    digest = "0123456789ABCDEF" * 4
    written = f'{SCHEDULER}[admin.people.ann]\ntoken_sha256 = "{digest}"\n[admin.people."b@example.org"]\n'
    people = scheduler(path, written).admin.people
    assert people == {"ann": PersonSettings(digest.lower()), "b@example.org": PersonSettings()}


@pytest.mark.parametrize("role", [SchedulerSettings, ServerSettings])
def test_what_a_reload_does(role: type) -> None:
    """Each key stands once in the table of the documentation, in the row of its table."""
    rows = list(reloaded(role))
    named = [key for row in rows for key in (*row.at_once, *row.restart)]
    assert sorted(named) == sorted(effects(role))
    assert len({row.table for row in rows}) == len(rows)
    assert all(key.partition(".")[0] == row.table for row in rows if row.table for key in (*row.at_once, *row.restart))
