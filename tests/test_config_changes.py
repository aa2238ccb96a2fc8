"""What differs between two configurations, and what of it is in force after a reload."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import attrs
import pytest

from sccachedist.config import (
    AdminSettings,
    ClientSettings,
    ClientsSettings,
    InsecureAuth,
    JwtHs256,
    NetworkSettings,
    PersonSettings,
    RewrittenSettings,
    SchedulerSettings,
    ServerSettings,
    TlsSettings,
    TokenAuth,
    TokenSettings,
)
from sccachedist.config.changes import ChangedKeys, changes, differing, digests, effects, merged, spread
from sccachedist.config.schema import Effect
from sccachedist.wire.addresses import ServerId
from tests.support.changed_settings import made, variants

ADDRESS = ServerId.parse("127.0.0.1:10600")
TLS = TlsSettings(Path("a.pem"), Path("a.key"))
PODS = NetworkSettings(servers_from={"10.244.0.0/16": RewrittenSettings((ip_network("10.1.0.0/24"),))})
OLD = SchedulerSettings(public_addr=ADDRESS, client_auth=TokenAuth("one"), server_auth=TokenAuth("secret"))


def test_nothing() -> None:
    """Two equal configurations differ in nothing."""
    found = changes(OLD, attrs.evolve(OLD))
    assert (found, bool(found), str(found)) == (ChangedKeys(), False, "nothing has changed")


@pytest.mark.parametrize(
    ("new", "keys"),
    [
        ({"public_addr": ServerId.parse("127.0.0.1:1")}, {"public_addr"}),
        ({"server_auth": TokenAuth("other")}, {"server_auth.token"}),
        ({"server_auth": JwtHs256(b"k" * 32)}, {"server_auth"}),
        ({"server_auth": InsecureAuth()}, {"server_auth"}),
        ({"tls": TLS}, {"tls"}),
        ({"admin": AdminSettings(people={"ann": PersonSettings()})}, {"admin.people.ann"}),
        ({"network": PODS}, {'network.servers_from."10.244.0.0/16"'}),
        ({"admin": AdminSettings(people={"a.b": PersonSettings("0" * 64)})}, {'admin.people."a.b"'}),
    ],
)
def test_named(new: dict[str, Any], keys: set[str]) -> None:
    """A change is named by its key; what comes with a change of type, of a table or of a name, by that alone."""
    changed = attrs.evolve(OLD, **new)
    for found in (changes(OLD, changed), changes(changed, OLD)):
        assert {*found.at_once, *found.restart} == keys


def test_a_person_changes() -> None:
    """The digest of a person that stays is named below the person's name."""
    old, new = (attrs.evolve(OLD, admin=AdminSettings(people={"ann": PersonSettings(digit * 64)})) for digit in "01")
    found = changes(old, new)
    assert (*found.at_once, *found.restart) == ("admin.people.ann.token_sha256",)


def test_said() -> None:
    """One line: what has its effect, and what has none before a restart."""
    assert str(ChangedKeys(("a.b",))) == "a.b has changed"
    assert str(ChangedKeys((), ("c",))) == "c needs a restart"
    assert str(ChangedKeys(("a", "b"), ("c", "d"))) == "a, b have changed; c, d need a restart"


def test_in_force() -> None:
    """What has its effect at once is new, and what needs a restart is as it was, in one table and in all."""
    old = attrs.evolve(OLD, tls=TLS)
    tls = TlsSettings(Path("b.pem"), Path("b.key"))
    new = attrs.evolve(old, public_addr=ServerId.parse("127.0.0.1:1"), tls=tls)
    assert changes(old, new) == ChangedKeys(("tls.certificate", "tls.private_key"), ("public_addr",))
    assert merged(old, new) == attrs.evolve(old, tls=tls)
    assert merged(old, attrs.evolve(old, tls=None)) == old


def test_unknown_key() -> None:
    """A key of a later release, of whose value there is a digest, needs a restart."""
    assert differing({"tls.later": "1"}, {"tls.later": "2"}, SchedulerSettings) == ChangedKeys((), ("tls.later",))
    assert differing({"later": "1"}, {}, SchedulerSettings) == ChangedKeys((), ("later",))


@pytest.mark.parametrize("role", [SchedulerSettings, ServerSettings])
def test_declared(role: type) -> None:
    """Every key has an effect; a table is none of its own, unless it may be missing."""
    found = effects(role)
    assert {"limits.connections", "public_addr", "log.jobs"} <= found.keys()
    assert "limits" not in found
    assert set(found.values()) == set(Effect)


@pytest.mark.parametrize("role", [SchedulerSettings, ServerSettings])
def test_each_key(role: type) -> None:
    """One that has its effect at once is in force; one that needs a restart is named, and has its old value."""
    declared, seen = effects(role), set()
    for key, old, new in variants(made(role)):
        effect = declared.get(key) or declared[key.rpartition(".")[0]]
        at_once = effect is Effect.AT_ONCE
        assert changes(old, new) == ChangedKeys(*((key,), ()) if at_once else ((), (key,))), key
        assert merged(old, new) == (new if at_once else old), key
        assert digests(old, b"salt").get(key) != digests(new, b"salt").get(key), key
        seen.add(key if key in declared else key.rpartition(".")[0])
    assert seen == declared.keys()


def test_spread() -> None:
    """A key that the chosen type does not have is no row."""
    found = spread(OLD)
    assert found["client_auth"] == "TokenAuth"
    assert found["client_auth.token"] == "one"
    assert found["tls"] is None
    assert "tls.certificate" not in found
    assert "server_auth.secret_key" not in found


def test_clients() -> None:
    """What another file says is told by the names in it, and has its effect at once."""
    ann, other = ClientSettings(tokens=(TokenSettings("0" * 64),)), ClientSettings(tokens=(TokenSettings("1" * 64),))
    old, new = (attrs.evolve(OLD, clients=ClientsSettings(Path("f"), named=named)) for named in ({"ann": ann}, {}))
    changed = attrs.evolve(OLD, clients=ClientsSettings(Path("f"), named={"ann": other, "bob": ann}))
    assert changes(old, new).at_once == ("clients.named.ann",)
    found = changes(old, changed)
    assert ({*found.at_once}, found.restart) == ({"clients.named.ann.tokens", "clients.named.bob"}, ())
    assert merged(old, changed) == changed
