"""How a release is cut, and what it consists of."""

import datetime
import email
import io
import runpy
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import setuptools

from scripts.release import CHECKOUT, ReleaseError, cut, main, normalised, unreleased

DAY = datetime.date(2026, 12, 24)
CHANGELOG = """# Changelog

## [Unreleased]

### Added

- A thing.

## [0.9.1] - 2026-11-29

- All.
"""
HOME = "https://example.org/farm/sccachedist"
#: What is in a source distribution alone.
MADE = {"PKG-INFO", "setup.cfg", "HOME_URL"}


def test_cut() -> None:
    """What is unreleased gets a heading of its own, and the next changes have a place."""
    assert cut(CHANGELOG, "0.10.0", DAY) == CHANGELOG.replace(
        "## [Unreleased]\n", "## [Unreleased]\n\n## [0.10.0] - 2026-12-24\n"
    )
    first = CHANGELOG.partition("## [0.9.1]")[0]
    assert "## [0.1.0] - 2026-12-24\n\n### Added" in cut(first, "0.1.0", DAY)


@pytest.mark.parametrize(
    ("changelog", "version", "why"),
    [
        (CHANGELOG, "0.9.1", "does not come after 0.9.1"),
        (CHANGELOG, "0.9.0", "does not come after 0.9.1"),
        (CHANGELOG, "1.0", "three numbers"),
        (CHANGELOG, "v1.0.0", "three numbers"),
        (CHANGELOG, "1.0.01", "three numbers"),
        (CHANGELOG.replace("### Added\n\n- A thing.\n", ""), "1.0.0", "nothing is unreleased"),
        (CHANGELOG.replace("Unreleased", "Next"), "1.0.0", "is missing"),
    ],
)
def test_no_cut(changelog: str, version: str, why: str) -> None:
    """A wrong version, an empty section and a missing one are refused."""
    with pytest.raises(ReleaseError, match=why):
        cut(changelog, version, DAY)


def test_the_changelog_of_this_checkout_can_be_cut() -> None:
    """It has the section that the next release is cut from."""
    unreleased((CHECKOUT / "CHANGELOG.md").read_text())


def test_nothing_of_who_made_a_source_distribution() -> None:
    """Order, times, owners and the umask are not to be seen."""

    def packed(names: list[str], seconds: int, user: str, mode: int) -> bytes:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w:gz") as archive:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size, member.mtime, member.uname, member.uid, member.mode = 3, seconds, user, seconds, mode
                archive.addfile(member, io.BytesIO(name.encode()))
        return made.getvalue()

    one = normalised(packed(["a/b", "a/c"], 1, "ann", 0o640), 1_700_000_000)
    assert one == normalised(packed(["a/c", "a/b"], 2, "bob", 0o666), 1_700_000_000)
    assert one != normalised(packed(["a/b", "a/c"], 1, "ann", 0o755), 1_700_000_000)
    with tarfile.open(fileobj=io.BytesIO(one)) as archive:
        assert {member.mtime for member in archive} == {1_700_000_000}
        file = archive.extractfile("a/c")
        assert file is not None
        assert file.read() == b"a/c"


def description() -> Callable[[str, str], str]:
    """The function of ``setup.py`` that makes a README fit for an index."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **_: None)
        names: dict[str, Any] = runpy.run_path(str(CHECKOUT / "setup.py"))
    made: Callable[[str, str], str] = names["description"]
    return made


def test_links_of_the_readme_on_an_index() -> None:
    """They lead to files of that version at the project's home; without one they are text."""
    made = description()
    readme = "[A](doc/a.rst#b) [B](https://b.org) [C](#c) ![D](doc/d.png)"
    version = runpy.run_path(str(CHECKOUT / "sccachedist" / "__init__.py"))["__version__"]
    assert made(readme, HOME) == (
        f"[A]({HOME}/blob/v{version}/doc/a.rst#b) [B](https://b.org) [C](#c) ![D]({HOME}/raw/v{version}/doc/d.png)"
    )
    assert made(readme, "") == "A (`doc/a.rst#b`) [B](https://b.org) [C](#c) "
    readme = (CHECKOUT / "README.md").read_text()
    assert "](doc/" in readme
    assert "](doc/" not in made(readme, "") + made(readme, HOME)


class Repository:
    """A repository with what a checkout has under version control, as it stands there now.

    An unpacked source distribution will do as well: it has the same files, and some that were made with it.
    """

    def __init__(self, folder: Path, source: Path = CHECKOUT) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet")
        listing = ["ls-files", "-z", "--others", "--exclude-standard"]
        if (source / ".git").exists():
            listing.append("--cached")
        else:
            listing = [f"--git-dir={folder / '.git'}", f"--work-tree={source}", *listing]
        listed = _run(source, "git", *listing)
        self.files = {name for name in listed.split("\0") if name and (source / name).exists()} - MADE
        for name in self.files:
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes((source / name).read_bytes())
            place.chmod((source / name).stat().st_mode)
        self.commit()

    def git(self, *arguments: str) -> None:
        _run(self.folder, "git", "-c", "user.name=ann", "-c", "user.email=ann@example.org", *arguments)

    def commit(self) -> None:
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--message", "all")

    def release(self, *arguments: str) -> None:
        main(arguments, self.folder)


def _run(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.functional
def test_release(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A release is cut, tagged and built; each step that is missing is said. What is built is complete, and works."""
    repository = Repository(tmp_path / "checkout")
    changelog = tmp_path / "checkout" / "CHANGELOG.md"
    before = changelog.read_text()
    changelog.write_text(before.replace("## [Unreleased]\n", "## [Unreleased]\n\n- Something.\n", 1))
    with pytest.raises(SystemExit, match="not committed"):
        repository.release("cut", "99.0.0")
    repository.commit()
    repository.release("cut", "99.0.0")
    assert "git tag -a v99.0.0" in capfd.readouterr().out
    with pytest.raises(SystemExit, match="not committed"):
        repository.release("build")
    repository.commit()
    with pytest.raises(SystemExit, match=r"no tag v99\.0\.0"):
        repository.release("build")
    repository.git("tag", "v99.0.0")
    (tmp_path / "checkout" / "dist").mkdir()
    (tmp_path / "checkout" / "dist" / "sccachedist-98.0.0.tar.gz").touch()
    repository.release("build", "--home", f"{HOME}/")
    out = capfd.readouterr().out
    assert out.count("PASSED") == 2
    dist = {path.name: path for path in (tmp_path / "checkout" / "dist").iterdir()}
    assert set(dist) == {"sccachedist-99.0.0.tar.gz", "sccachedist-99.0.0-py3-none-any.whl"}

    with tarfile.open(dist["sccachedist-99.0.0.tar.gz"]) as archive:
        packed = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert {name for name in packed - MADE if not name.startswith("sccachedist.egg-info/")} == repository.files
    _run(tmp_path, "tar", "-xf", str(dist["sccachedist-99.0.0.tar.gz"]))
    unpacked = tmp_path / "sccachedist-99.0.0"
    tests = ("tests/test_packaging.py", "tests/test_documentation.py", "tests/wire/test_recorded.py")
    _run(unpacked, sys.executable, "-m", "pytest", "--quiet", "-m", "not functional", "-p", "no:cacheprovider", *tests)
    assert Repository(tmp_path / "again", unpacked).files == repository.files

    with zipfile.ZipFile(dist["sccachedist-99.0.0-py3-none-any.whl"]) as wheel:
        names = set(wheel.namelist())
        told = email.message_from_bytes(wheel.read("sccachedist-99.0.0.dist-info/METADATA"))
    assert {"twisted/plugins/sccachedist_plugins.py", "sccachedist/py.typed", "sccachedist/page/index.html"} <= names
    assert not [name for name in names if name.startswith(("tests/", "farmkit/")) or name.endswith(".pyc")]
    assert told["Keywords"]
    assert f"Homepage, {HOME}" in told.get_all("Project-URL", [])
    assert f"]({HOME}/blob/v99.0.0/doc/operations.rst)" in told.get_payload()
