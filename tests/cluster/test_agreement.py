"""Whether the configurations of two schedulers agree: found out without telling a secret."""

from ipaddress import ip_network
from itertools import count
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.cluster.agreement import PARTS, Agreement
from sccachedist.config import (
    AdminSettings,
    ClusterSettings,
    JwtHs256,
    JwtSettings,
    NetworkSettings,
    RewrittenSettings,
    SchedulerSettings,
    TokenAuth,
    WebSettings,
)
from sccachedist.config.clients import ClientSettings, ClientsSettings, TokenSettings
from sccachedist.config.cluster import StoreAddress
from sccachedist.config.viewing import PersonSettings
from sccachedist.wire.addresses import ServerId

CLUSTER = ClusterSettings(StoreAddress.parse("redis://10.0.0.8"), ("http://10.0.0.1:1", "http://10.0.0.2:1"))
PODS = {"10.244.0.0/16": RewrittenSettings((ip_network("192.168.1.0/24"),))}
SAME = SchedulerSettings(
    public_addr=ServerId.parse("10.0.0.1:10600"),
    client_auth=TokenAuth("clienttok"),
    server_auth=JwtHs256(b"key"),
    admin=AdminSettings(token="admintok", people={"ann": PersonSettings("ab" * 32)}),
    web=WebSettings(viewer_token="viewertok"),
    clients=ClientsSettings(named={"bob": ClientSettings(tokens=(TokenSettings("cd" * 32),))}),
    cluster=CLUSTER,
)
salts = count()


def agreement(settings: SchedulerSettings) -> Agreement:
    return Agreement(lambda: settings, lambda size: next(salts).to_bytes(size, "big"))


def differing(one: SchedulerSettings, other: SchedulerSettings) -> tuple[str, ...] | None:
    return agreement(one).differing(agreement(other).proofs())


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({}, ()),
        ({"client_auth": TokenAuth("another")}, ("client_auth",)),
        ({"client_auth": TokenAuth("clienttok", "before")}, ("client_auth",)),
        ({"server_auth": JwtHs256(b"another")}, ("server_auth",)),
        ({"server_auth": TokenAuth("key")}, ("server_auth",)),
        ({"admin": AdminSettings(token="another", people=SAME.admin.people)}, ("admin.token",)),
        ({"admin": AdminSettings(token="admintok")}, ("admin.people",)),
        ({"web": WebSettings()}, ("web.viewer_token",)),
        ({"jwt": JwtSettings(name_claim="sub")}, ("jwt",)),
        ({"network": NetworkSettings(servers_from=PODS)}, ("network.servers_from",)),
        ({"clients": ClientsSettings()}, ("clients.file",)),
        ({"clients": ClientsSettings(named={"bob": ClientSettings()})}, ("clients.file",)),
        ({"cluster": attrs.evolve(CLUSTER, schedulers=("http://10.0.0.1:1",))}, ("cluster.schedulers",)),
        ({"cluster": None, "admin": AdminSettings()}, ("admin.token", "admin.people", "cluster.schedulers")),
    ],
)
def test_what_has_to_be_the_same(changed: dict[str, Any], parts: tuple[str, ...]) -> None:
    """Each side finds what differs, by the key that one has to look at."""
    other = attrs.evolve(SAME, **changed)
    assert differing(SAME, other) == differing(other, SAME) == parts


def test_what_need_not_be_the_same() -> None:
    """Each scheduler has its own address and its own files, and lists all in an order of its own."""
    other = attrs.evolve(
        SAME,
        public_addr=ServerId.parse("10.0.0.2:10600"),
        cluster=attrs.evolve(CLUSTER, schedulers=("http://10.0.0.2:1", "http://10.0.0.1:1"), ttl_secs=5),
        web=WebSettings(title="another", viewer_token="viewertok"),
    )
    assert differing(SAME, other) == ()


def test_other_proofs_each_time() -> None:
    """What is sent does not tell whether it is the same as before, and holds no secret."""
    asker = agreement(SAME)
    first, second = asker.proofs().split(" "), asker.proofs().split(" ")
    assert len({*first, *second}) == 2 * (1 + len(PARTS))
    assert not any(secret in " ".join(first) for secret in ("clienttok", "admintok", "viewertok", "ab" * 32, "cd" * 32))


def test_a_reload_is_seen() -> None:
    """What is compared are the settings in force."""
    settings = SAME
    own = Agreement(lambda: settings, bytes)
    other = agreement(attrs.evolve(SAME, client_auth=TokenAuth("another")))
    assert own.differing(other.proofs()) == ("client_auth",)
    settings = attrs.evolve(SAME, client_auth=TokenAuth("another"))
    assert own.differing(other.proofs()) == ()


def test_another_release() -> None:
    """A part that one of the two does not know is not compared; who shows no proofs is told nothing."""
    salt, *pairs = agreement(SAME).proofs().split(" ")
    assert agreement(SAME).differing(" ".join((salt, *pairs[1:], "later=00"))) == ()
    assert agreement(SAME).differing(None) is agreement(SAME).differing("") is None


@given(st.text())
def test_what_is_no_proof(said: str) -> None:
    """Any part that is wrong shows nothing."""
    assert not {*(agreement(SAME).differing(said) or ())} - {*PARTS}


def test_a_guess() -> None:
    """One who knows one part is told that the others differ, and learns no more."""
    salt, *pairs = agreement(SAME).proofs().split(" ")
    guess = " ".join((salt, pairs[0], *(f"{part}=" for part in [*PARTS][1:])))
    assert agreement(SAME).differing(guess) == tuple(PARTS)[1:]
