"""Configuration files that hypothesis writes: all settings read back, and every wrong file is refused."""

import base64
import enum
import json
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.config import (
    AdminSettings,
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
    SandboxSettings,
    SchedulerLimits,
    SchedulerSettings,
    ServerLimits,
    ServerSettings,
    ServersTokenAuth,
    ShutdownSettings,
    TokenAuth,
    ViewFor,
    WebSettings,
    load_scheduler_settings,
    load_server_settings,
)
from sccachedist.config.schema import Choice, keys_of
from sccachedist.errors import ConfigError
from sccachedist.wire.addresses import ServerId
from tests.support.forms import toml_file

Settings = SchedulerSettings | ServerSettings


def as_document(settings: object) -> dict[str, Any]:
    """The document that reads as these settings."""
    document = {}
    for name, declared in keys_of(type(settings)).items():
        plain = as_plain(getattr(settings, name))
        if isinstance(declared.shape, Choice):
            names = {kind: text for text, kind in declared.shape.kinds.items()}
            plain["type"] = names[type(getattr(settings, name))]
        document[name] = plain
    return {name: value for name, value in document.items() if value is not None}


def as_plain(value: object) -> Any:
    if isinstance(value, bytes):
        return base64.urlsafe_b64encode(value).decode().rstrip("=")
    if isinstance(value, tuple):
        return [as_plain(item) for item in value]
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {name: as_plain(item) for name, item in value.items()}
    if attrs.has(type(value)) and not isinstance(value, ServerId):
        return as_document(value)
    return str(value)


ADDRESSES = st.builds(ServerId, st.ip_addresses(), st.integers(0, 65535))
HOSTS, KEYS = st.ip_addresses(), st.binary(min_size=32, max_size=32)
NUMBERS = st.integers(1, 2**64 - 1)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
PATHS = TEXTS.filter(bool).map(Path)
TOKENS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)
URLS = st.from_regex(r"https?://[a-z][a-z0-9]{0,8}(:[1-9][0-9]{0,3})?/[a-z?=]*", fullmatch=True)
SCHEDULER_LIMITS = st.builds(SchedulerLimits, **dict.fromkeys(keys_of(SchedulerLimits), NUMBERS))
SERVER_LIMITS = st.builds(ServerLimits, **dict.fromkeys(keys_of(ServerLimits), NUMBERS))
NETWORKS = st.ip_addresses().map(ip_network)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,20}", fullmatch=True).filter(
    lambda name: name not in ("administrator", "viewer")
)
PEOPLE = st.builds(PersonSettings, st.none() | st.from_regex(r"[0-9a-f]{64}", fullmatch=True))

KNOWN = {
    "type",
    "token",
    *keys_of(SchedulerSettings),
    *keys_of(ServerSettings),
    *keys_of(SchedulerLimits),
    *keys_of(ServerLimits),
}

SCHEDULERS = st.builds(
    SchedulerSettings,
    public_addr=ADDRESSES,
    client_auth=st.just(InsecureAuth())
    | st.builds(TokenAuth, TOKENS, st.none() | TOKENS)
    | st.builds(JwtValidate, TEXTS, TEXTS, URLS)
    | st.builds(ProxyToken, URLS, st.none() | st.integers(0, 2**63)),
    server_auth=st.just(InsecureAuth())
    | st.builds(ServersTokenAuth, TOKENS, st.none() | TOKENS, st.lists(ADDRESSES | HOSTS).map(tuple))
    | st.builds(JwtHs256, KEYS, st.none() | KEYS, st.lists(ADDRESSES | HOSTS).map(tuple)),
    network=st.builds(NetworkSettings, st.lists(NETWORKS).map(tuple)),
    admin=st.builds(AdminSettings, token=st.none() | TOKENS, people=st.dictionaries(NAMES, PEOPLE)),
    web=st.builds(
        WebSettings,
        title=TEXTS,
        address=st.none() | ADDRESSES,
        view=st.sampled_from(ViewFor),
        viewer_token=st.none() | TOKENS,
        user_header=st.none() | st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True),
    ),
    limits=SCHEDULER_LIMITS,
)
SERVERS = st.builds(
    ServerSettings,
    cache_dir=PATHS,
    public_addr=ADDRESSES,
    bind_address=ADDRESSES,
    scheduler_url=st.builds("http://{}".format, ADDRESSES.filter(lambda address: address.port > 0)),
    toolchain_cache_size=st.integers(0, 2**64 - 1),
    builder=st.just(DockerBuilderSettings())
    | st.builds(OverlayBuilderSettings, PATHS, PATHS)
    | st.builds(PotBuilderSettings, PATHS, TEXTS, PATHS, st.lists(TEXTS).map(tuple)),
    scheduler_auth=st.just(InsecureAuth()) | st.builds(OwnToken, TOKENS) | st.builds(JwtToken, TOKENS),
    sandbox=st.builds(SandboxSettings, NUMBERS),
    shutdown=st.builds(ShutdownSettings, NUMBERS),
    limits=SERVER_LIMITS,
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


def load_as(settings: Settings, path: Path) -> Settings:
    load = load_scheduler_settings if isinstance(settings, SchedulerSettings) else load_server_settings
    return load(path)


@given(settings=SCHEDULERS | SERVERS)
def test_any_settings_can_be_written(folder: Path, settings: Settings) -> None:
    """All settings can be written down, in TOML and in JSON, and read back the same."""
    document = as_document(settings)
    for name, text in [("dist.toml", toml_file(document)), ("dist.json", json.dumps(document))]:
        (folder / name).write_bytes(text.encode())
        assert load_as(settings, folder / name) == settings


def tables(document: dict[str, Any], settings: Settings) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every table of a document that minds what is in it, with the beginning of its dotted keys."""
    yield "", document
    for name, inner in document.items():
        if isinstance(inner, dict) and keys_of(type(getattr(settings, name))):
            yield f"{name}.", inner


@given(settings=SCHEDULERS | SERVERS, unknown=st.from_regex(r"x_[a-z]{1,20}", fullmatch=True), data=st.data())
def test_an_unknown_key_is_always_named(folder: Path, settings: Settings, unknown: str, data: st.DataObject) -> None:
    """A key that nobody knows is refused wherever it stands, by its dotted name."""
    document = as_document(settings)
    start, table = data.draw(st.sampled_from(list(tables(document, settings))))
    table[unknown] = 1
    path = folder / "unknown.conf"
    path.write_text(toml_file(document), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_as(settings, path)
    assert str(caught.value).startswith(f"{path}: {start}{unknown}: unknown key")


@given(
    text=st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(KNOWN)) | st.text(), inner),
    ).map(json.dumps)
)
def test_no_file_raises_anything_else(folder: Path, text: str) -> None:
    """Whatever stands in a file, it is refused in one line."""
    for name in ("any.json", "any.conf"):
        (folder / name).write_bytes(text.encode())
        for load in (load_scheduler_settings, load_server_settings):
            with pytest.raises(ConfigError) as caught:
                load(folder / name)
            assert len(str(caught.value).splitlines()) == 1
