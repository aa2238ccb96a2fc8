"""Makes a release: cuts the changelog, and builds what an index is given, the same bytes each time.

``python -m scripts.release cut VERSION`` and ``make release``; ``doc/developing`` has the steps. What is in a package
is said in ``setup.py`` and ``MANIFEST.in``.
"""

import argparse
import datetime
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
CHANGELOG, VERSION_FILE = Path("CHANGELOG.md"), Path("sccachedist", "__init__.py")
#: The file that only a source distribution has: where the project is at home.
HOME_URL = "HOME_URL"

_UNRELEASED = "## [Unreleased]\n"
_CUT = re.compile(r"(?m)^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$")
_VERSION = re.compile(r'(?m)^__version__ = "(.+)"$')
_UMASK = 0o022
_BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"


class ReleaseError(Exception):
    """There is no release, for a reason."""


def cut(changelog: str, version: str, day: datetime.date) -> str:
    """The changelog with all that is unreleased in a section of a version's own.

    :param version: three numbers, such as 0.3.0.
    :raises ReleaseError: nothing is unreleased, or the version does not come after the last one.
    """
    if re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version) is None:
        raise ReleaseError(f"{version}: expected three numbers, such as 0.3.0")
    if not unreleased(changelog):
        raise ReleaseError(f"{CHANGELOG}: nothing is unreleased")
    last = _CUT.search(changelog)
    if last is not None and _numbers(version) <= _numbers(last[1]):
        raise ReleaseError(f"{version} does not come after {last[1]}, the last release")
    return changelog.replace(_UNRELEASED, f"{_UNRELEASED}\n## [{version}] - {day.isoformat()}\n", 1)


def unreleased(changelog: str) -> str:
    """What no release has yet.

    :raises ReleaseError: the changelog has no such section.
    """
    _, heading, rest = changelog.partition(_UNRELEASED)
    if not heading:
        raise ReleaseError(f"{CHANGELOG}: the section {_UNRELEASED.strip()} is missing")
    return re.split(r"(?m)^## ", rest, maxsplit=1)[0].strip()


def normalised(archive: bytes, seconds: int) -> bytes:
    """A source distribution, of which nothing depends on who made it, where and when.

    :param seconds: the time that all of it has, since 1970.
    """
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as given,
        gzip.GzipFile(filename="", mode="wb", fileobj=made, mtime=seconds) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as packed,
    ):
        for member in sorted(given.getmembers(), key=lambda member: member.name):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = seconds
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            packed.addfile(member, given.extractfile(member) if member.isfile() else None)
    return made.getvalue()


def built(tree: bytes, seconds: int, home: str) -> dict[str, bytes]:
    """The source distribution and the wheel of a tree, which is made of that; names and contents.

    :param tree: a tar archive of what the version control has.
    :param home: the URL of the project; empty without one.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "source"), Path(folder, "out")
        _unpack(tree, source)
        if home:
            source.joinpath(HOME_URL).write_text(f"{home}\n")
        out.mkdir()
        _call_setuptools("build_sdist", source, out, seconds)
        [sdist] = out.iterdir()
        sdist.write_bytes(normalised(sdist.read_bytes(), seconds))
        _unpack(sdist.read_bytes(), Path(folder, "unpacked"))
        [unpacked] = Path(folder, "unpacked").iterdir()
        _call_setuptools("build_wheel", unpacked, out, seconds)
        return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def _unpack(archive: bytes, folder: Path) -> None:
    """Make a folder of an archive; the modes of files are those that the archive has, without what a umask takes."""
    folder.mkdir()
    file = folder.with_suffix(".tar")
    file.write_bytes(archive)
    command = [
        "tar",
        "--extract",
        "--no-same-owner",
        "--no-same-permissions",
        f"--directory={folder}",
        f"--file={file}",
    ]
    subprocess.run(command, umask=_UMASK, check=True)


def _call_setuptools(hook: str, source: Path, out: Path, seconds: int) -> None:
    command = [sys.executable, "-W", "ignore", "-c", _BUILD, hook, str(out)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(seconds)}
    done = subprocess.run(
        command, cwd=source, env=environment, umask=_UMASK, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ReleaseError(f"{hook}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def release(checkout: Path, home: str) -> dict[str, bytes]:
    """What an index is given of the commit that is checked out; names and contents.

    :param home: the URL of the project; empty without one.
    :raises ReleaseError: the commit is no release, or two builds of it differ.
    """
    version = _version_of(checkout)
    if _git(checkout, "status", "--porcelain"):
        raise ReleaseError("the checkout has changes that are not committed")
    if f"v{version}" not in _git(checkout, "tag", "--points-at", "HEAD").split():
        raise ReleaseError(f"this is version {version}, and the commit has no tag v{version}")
    changelog = (checkout / CHANGELOG).read_text()
    last = _CUT.search(changelog)
    if last is None or last[1] != version or unreleased(changelog):
        raise ReleaseError(f"{CHANGELOG}: {version} is not what begins it: python -m scripts.release cut {version}")
    seconds = int(_git(checkout, "log", "-1", "--format=%ct"))
    tree = _git_bytes(checkout, "archive", "HEAD")
    first, second = (built(tree, seconds, home) for _ in range(2))
    if first != second:
        raise ReleaseError("two builds differ")
    return first


def _git(checkout: Path, *arguments: str) -> str:
    return _git_bytes(checkout, *arguments).decode().strip()


def _git_bytes(checkout: Path, *arguments: str) -> bytes:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=checkout, stdout=subprocess.PIPE, check=True).stdout


def _version_of(checkout: Path) -> str:
    [version] = _VERSION.findall((checkout / VERSION_FILE).read_text())
    return str(version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def _cut(checkout: Path, version: str) -> None:
    """Cut the changelog, and set the version, in the checkout."""
    if _git(checkout, "status", "--porcelain"):
        raise ReleaseError("the checkout has changes that are not committed")
    today = datetime.datetime.now(datetime.UTC).date()
    changelog = cut((checkout / CHANGELOG).read_text(), version, today)
    (checkout / CHANGELOG).write_text(changelog)
    text = (checkout / VERSION_FILE).read_text()
    (checkout / VERSION_FILE).write_text(_VERSION.sub(f'__version__ = "{version}"', text))
    print(f"next: git commit -am 'Release {version}' && git tag -a v{version} -m {version} && make release")


def _build(checkout: Path, home: str, into: Path) -> None:
    """Build a release into a folder, which has nothing else then, and check what an index will show."""
    if not home:
        print("no HOME_URL: the packages name no home, and their description has no links to files")
    packages = release(checkout, home)
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for name, content in packages.items():
        (into / name).write_bytes(content)
        print(hashlib.sha256(content).hexdigest(), into / name)
    paths = [str(into / name) for name in packages]
    if subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *paths], check=False).returncode:
        raise ReleaseError("an index would not take them")


def main(arguments: Sequence[str] | None = None, checkout: Path = CHECKOUT) -> None:
    """Do what the arguments say; a release that cannot be is one line and status 1."""
    parser = argparse.ArgumentParser(prog="python -m scripts.release", description="Make a release.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("cut", help="give what is unreleased a version, in the changelog and the package")
    command.add_argument("version")
    command = commands.add_parser("build", help="build what an index is given, of the tag that is checked out")
    command.add_argument("--home", default="", metavar="URL", help="where the project is at home")
    command.add_argument("--into", type=Path, default=checkout / "dist", metavar="DIRECTORY")
    parsed = parser.parse_args(arguments)
    try:
        if parsed.command == "cut":
            _cut(checkout, parsed.version)
        else:
            _build(checkout, parsed.home.rstrip("/"), parsed.into)
    except ReleaseError as error:
        raise SystemExit(f"release: {error}") from error


if __name__ == "__main__":
    main()
