"""The table ``[cluster]``: the address of the store that has the lock."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.config import load_scheduler_settings
from sccachedist.config.cluster import ClusterSettings, StoreAddress
from sccachedist.config.schema import read_settings
from sccachedist.errors import ConfigError

REQUIRED = {"lock": "redis://10.0.0.9", "schedulers": ["http://10.0.0.1:10600"]}


@pytest.mark.parametrize(
    ("url", "places", "is_tls", "master", "user", "database"),
    [
        ("redis://10.0.0.9", [("10.0.0.9", 6379)], False, None, None, 0),
        ("redis://10.0.0.9/", [("10.0.0.9", 6379)], False, None, None, 0),
        ("redis://[2001:db8::1]:7000/3", [("2001:db8::1", 7000)], False, None, None, 3),
        ("rediss://farm@redis.example:6380", [("redis.example", 6380)], True, None, "farm", 0),
        ("rediss://a%40b@redis.example", [("redis.example", 6379)], True, None, "a@b", 0),
        ("redis+sentinel://a,[::1]:2/farm", [("a", 26379), ("::1", 2)], False, "farm", None, 0),
        ("redis+sentinel://u@a:1/farm/4", [("a", 1)], False, "farm", "u", 4),
    ],
)
def test_addresses(
    url: str, places: list[tuple[str, int]], is_tls: bool, master: str | None, user: str | None, database: int
) -> None:
    """A store by itself, by TLS, or behind Sentinels."""
    assert StoreAddress.parse(url) == StoreAddress(url, tuple(places), is_tls, master, user, database)
    assert str(StoreAddress.parse(url)) == url


@pytest.mark.parametrize(
    "url",
    [
        "", "redis", "redis://", "redis:///1", "http://a", "redis://a,b", "redis://a/b", "redis://a/1/2", "redis://a/-1",
        "redis://a/99999", "redis://a:0", "redis://a:65536", "redis://a:b", "redis://a b", "redis://a\n", "redis://a\0",
        "redis://a?b", "redis://a#b", "redis://@a", "redis://user:secret@a", "redis://:secret@a", "redis://[a]",
        "redis://[::1", "redis+sentinel://a", "redis+sentinel://a/", "redis+sentinel://a//1", "redis+sentinel://a,/n",
        "rediss+sentinel://a/n", "unix:///run/redis",
    ],
)  # fmt: skip
def test_other_addresses(url: str) -> None:
    """They are refused with what is expected; a password in one is not shown, for it belongs in a file."""
    with pytest.raises(ConfigError) as raised:
        read_settings(ClusterSettings, REQUIRED | {"lock": url}, "cluster")
    assert str(raised.value).startswith("cluster.lock: expected redis://HOST:PORT, ")
    assert "secret" not in str(raised.value)


@given(st.text() | st.text(alphabet="redis+ntl:/@,[].0123456789").map("redis://{}".format))
def test_any_text(text: str) -> None:
    """Whatever is written there is an address or is refused."""
    try:
        address = StoreAddress.parse(text)
    except ValueError:
        return
    assert all(host and 0 < port < 65536 for host, port in address.places)


def test_all_keys() -> None:
    """A file may have these; the password is never shown."""
    settings = read_settings(
        ClusterSettings,
        REQUIRED
        | {"address": "https://10.0.0.1:10600", "ttl_secs": 5, "lock_password": "secret"}
        | {"lock_ca": "/ca.pem"},
    )
    assert settings == ClusterSettings(
        StoreAddress.parse("redis://10.0.0.9"), ("http://10.0.0.1:10600",), "https://10.0.0.1:10600", 5, "secret",
        Path("/ca.pem"),
    )  # fmt: skip
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ttl_secs", 0), ("ttl_secs", 61), ("schedulers", []), ("schedulers", ["a"]), ("address", "http://a/b")],
)
def test_values_that_are_refused(name: str, value: object) -> None:
    """With the key."""
    with pytest.raises(ConfigError, match=rf"^cluster\.{name}.*: expected "):
        read_settings(ClusterSettings, REQUIRED | {name: value}, "cluster")


FILE = """
public_addr = "10.0.0.1:10600"
client_auth = {type = "DANGEROUSLY_INSECURE"}
server_auth = {type = "DANGEROUSLY_INSECURE"}
network.trusted_proxies = ["10.0.0.7"]
[cluster]
lock = "redis://10.0.0.9"
lock_password_file = "password"
schedulers = ["http://10.0.0.1:10600", "http://[2001:db8::1]:10600", "http://two.example:10600"]
"""


def test_a_file(tmp_path: Path) -> None:
    """A scheduler's own address is that at which it listens, and it trusts the others that have an address."""
    (tmp_path / "password").write_text("secret\n")
    file = tmp_path / "scheduler.toml"
    file.write_text(FILE)
    settings = load_scheduler_settings(file)
    assert settings.cluster is not None
    assert (settings.cluster.address, settings.cluster.lock_password) == ("http://10.0.0.1:10600", "secret")
    assert [str(each) for each in settings.network.trusted_proxies] == [
        "10.0.0.7/32", "10.0.0.1/32", "2001:db8::1/128"
    ]  # fmt: skip


@pytest.mark.parametrize("address", ["", 'address = "https://10.0.0.3:10600"\n'])
def test_a_scheduler_that_is_not_among_all(tmp_path: Path, address: str) -> None:
    """The others would not find it."""
    (tmp_path / "password").write_text("secret\n")
    file = tmp_path / "scheduler.toml"
    file.write_text(FILE.replace('public_addr = "10.0.0.1', 'public_addr = "10.0.0.4') + address)
    with pytest.raises(ConfigError, match=r"scheduler\.toml: cluster\.schedulers: http.* is not among them$"):
        load_scheduler_settings(file)
