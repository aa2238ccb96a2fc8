"""What becomes another user's, and who may become one."""

import os
import pwd
from pathlib import Path

import pytest

from sccachedist.errors import ConfigError
from sccachedist.privileges import Account

OTHER = Account("other", os.geteuid() + 1, os.getegid() + 1)

Changes = list[tuple[str, int, int]]


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> Changes:
    """What would be given away."""
    seen: Changes = []
    monkeypatch.setattr(os, "chown", lambda path, uid, gid, **_: seen.append((Path(path).name, uid, gid)))
    return seen


def test_a_directory_and_all_in_it(tmp_path: Path, changes: Changes) -> None:
    """The directory itself comes last: one that was begun is begun again."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").touch()
    (tmp_path / "a/link").symlink_to("/etc/shadow")
    OTHER.own(tmp_path / "a")
    assert sorted(changes[:-1]) == [(name, OTHER.uid, OTHER.gid) for name in ("b", "file", "link")]
    assert changes[-1] == ("a", OTHER.uid, OTHER.gid)


def test_a_directory_that_has_changed_hands(tmp_path: Path, changes: Changes) -> None:
    """Nothing in it is given away: who has it could have put anybody's file there."""
    (tmp_path / "file").touch()
    Account("me", os.geteuid(), os.getegid()).own(tmp_path)
    assert changes == []


def test_a_user_that_is_not_there() -> None:
    """The operator reads which key to mend."""
    with pytest.raises(ConfigError, match=r"^sandbox\.user: there is no user 'no-such-user'$"):
        Account.named("no-such-user", "sandbox.user")


def test_only_root_becomes_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may name themselves, and stay who they are."""
    root = pwd.getpwuid(0)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    with pytest.raises(ConfigError, match="only root can become"):
        Account.named(root.pw_name, "sandbox.user")
    monkeypatch.setattr(os, "geteuid", lambda: root.pw_uid)
    Account.named(root.pw_name, "sandbox.user").become()
