"""The source distribution: who has unpacked it has all that the unit tests need."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.release import built
from tests.test_release import Repository

pytestmark = [pytest.mark.functional, pytest.mark.packages]

_SECS = 1200  # on a busy machine; as a rule it is three minutes
_RUN = ("-m", "pytest", "--quiet", "-m", "not functional", "--numprocesses", "2", "-p", "no:cacheprovider")


def test_the_unit_tests(tmp_path: Path) -> None:
    """All of them pass there, without version control, and for a user whose new files are private."""
    repository = Repository(tmp_path / "checkout")
    archive = ("git", "archive", "HEAD")
    tree = subprocess.run(archive, cwd=repository.folder, capture_output=True, check=True).stdout
    [(name, sdist)] = [each for each in built(tree, 0, "").items() if each[0].endswith(".tar.gz")]
    (tmp_path / name).write_bytes(sdist)
    subprocess.run(("tar", "-xf", name), cwd=tmp_path, umask=0o077, check=True)
    unpacked = tmp_path / name.removesuffix(".tar.gz")
    done = subprocess.run(
        (sys.executable, *_RUN, f"--basetemp={tmp_path / 'tests'}"),
        cwd=unpacked,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        umask=0o077,
        capture_output=True,
        text=True,
        timeout=_SECS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
