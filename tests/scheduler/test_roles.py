"""Who is what to a farm, by the secrets of its configuration."""

import hashlib

import pytest

from sccachedist.config import AdminSettings, PersonSettings, WebSettings
from sccachedist.scheduler.roles import Principals, Role

DIGEST = hashlib.sha256(b"ann's").hexdigest()
ALL = Principals.of(
    AdminSettings("admin's", {"ann": PersonSettings(DIGEST), "bob": PersonSettings()}),
    WebSettings(viewer_token="viewer's"),
)


@pytest.mark.parametrize(
    ("token", "role", "name"),
    [
        ("admin's", Role.ADMINISTRATOR, "administrator"),
        ("ann's", Role.ADMINISTRATOR, "ann"),
        ("viewer's", Role.VIEWER, "viewer"),
    ],
)
def test_secrets(token: str, role: Role, name: str) -> None:
    """Each secret is one's."""
    found = ALL.of_token(token)
    assert found is not None
    assert (found.role, found.name) == (role, name)
    assert ALL.named(role, name) == found
    assert token not in repr(ALL)
    assert found.digest not in repr(ALL)


@pytest.mark.parametrize("token", [None, "", "admin's ", "ANN'S", DIGEST, "\xff"])
def test_others(token: str | None) -> None:
    """A digest is no secret, and one who has none, as bob, has not the empty one."""
    assert ALL.of_token(token) is None
    assert Principals.of(AdminSettings()).of_token(token) is None


def test_users_of_a_proxy() -> None:
    """They are viewers, but for the administrators by name; nobody becomes one without a name by it."""
    assert [ALL.of_user(name).role for name in ("ann", "bob", "carl", "administrator", "viewer")] == [
        Role.ADMINISTRATOR,
        Role.ADMINISTRATOR,
        Role.VIEWER,
        Role.VIEWER,
        Role.VIEWER,
    ]
    assert [role.word for role in Role] == ["anyone", "client", "viewer", "administrator"]
