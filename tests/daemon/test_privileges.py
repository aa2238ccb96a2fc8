"""What becomes another user's, and who may become one."""

import os
import pwd
from pathlib import Path

import pytest

from sccachedist.daemon.privileges import Account
from sccachedist.errors import ConfigError, UntrustedPath

OTHER = Account("other", os.geteuid() + 1, os.getegid() + 1)

Changes = list[tuple[str, int, int]]


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> Changes:
    """What would be given away."""
    seen: Changes = []

    def give(path: str | Path, uid: int, gid: int, **_: object) -> None:
        seen.append((Path(path).name, uid, gid))

    monkeypatch.setattr(os, "chown", give)
    monkeypatch.setattr(os, "fchown", lambda fd, uid, gid: give(os.readlink(f"/proc/self/fd/{fd}"), uid, gid))
    return seen


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that others may enter."""
    tmp_path.chmod(0o755)
    return tmp_path


def test_a_directory_and_all_in_it(place: Path, changes: Changes) -> None:
    """The directory itself comes last: one that was begun is begun again."""
    (place / "a/b").mkdir(parents=True)
    (place / "a/b/file").touch()
    OTHER.own(place, "a")
    assert changes == [(name, OTHER.uid, OTHER.gid) for name in ("file", "b", "a")]


def test_what_may_be_elsewhere(place: Path, changes: Changes) -> None:
    """No link is followed, and a file with a second name keeps its owner."""
    (place / "a").mkdir()
    (place / "precious").touch()
    os.link(place / "precious", place / "a/planted")
    (place / "a/link").symlink_to("/etc/shadow")
    (place / "a/directory").symlink_to("/etc")
    OTHER.own(place, "a")
    assert [name for name, *_ in changes] == ["a"]


def test_a_link_in_its_place(place: Path, changes: Changes) -> None:
    """Nothing is given away."""
    (place / "a").symlink_to("/etc")
    with pytest.raises(UntrustedPath, match="a is a symbolic link"):
        OTHER.own(place, "a")
    assert changes == []


def test_what_is_missing_on_the_way(place: Path, changes: Changes) -> None:
    """It is made and given away, and what comes below it is for its new owner to make."""
    OTHER.own(place / "b/c", "a")
    assert {name for name, *_ in changes} == {"b", "c"}
    assert not (place / "b/c/a").exists()


def test_a_directory_that_was_made_for_root(place: Path, changes: Changes) -> None:
    """One that nobody else could enter goes with what is in it, unless there is something else."""
    (place / "b").mkdir(mode=0o700)
    OTHER.own(place / "b", "a")
    assert [name for name, *_ in changes] == ["a", "b"]
    (place / "b/other").touch()
    changes.clear()
    OTHER.own(place / "b", "a")
    assert [name for name, *_ in changes] == ["a"]


def test_a_directory_that_has_changed_hands(place: Path, changes: Changes) -> None:
    """Nothing in it is given away: who has it could have put anybody's file there."""
    (place / "a").mkdir()
    (place / "a/file").touch()
    Account("me", os.geteuid(), os.getegid()).own(place, "a")
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
