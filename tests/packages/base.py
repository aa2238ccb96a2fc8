"""A fresh Debian, made by debootstrap: with the packages that the daemons need, and with wheels beside it.

``pip`` installs these wheels and asks no index, so that all that follows needs no network.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import attrs

from farmkit.launch import CHECKOUT
from tests.support.docker_engine import DockerEngine
from tests.test_packaging import asked_for

#: The name of the image.
BASE = "sccachedist-base"
#: The configuration of pip there.
PIP = "[global]\nno-index = true\nfind-links = /wheels\n"
#: The extras that the image and the package have.
_EXTRAS = ("cluster", "top")
_PACKAGES = ("bubblewrap", "ca-certificates", "python3", "python3-venv", "systemd", "tini")
_SECS = 600


@attrs.frozen
class Base:
    """What all begins with.

    :param debian: the archive of the root of a fresh Debian.
    :param wheels: a folder.
    """

    debian: Path
    wheels: Path


def make_base(kept: Path) -> Base:
    """Make it in a folder, as far as it is not there."""
    return Base(_debian(kept), _wheels(kept))


def import_base(engine: DockerEngine, base: Base, temporary: Path) -> None:
    """Give it to an engine, as an image."""
    engine.docker("import", str(base.debian), "debian")
    context = temporary / "context"
    shutil.copytree(base.wheels, context / "wheels")
    (context / "pip.conf").write_text(PIP)
    (context / "Dockerfile").write_text("FROM debian\nCOPY wheels /wheels\nCOPY pip.conf /etc/\n")
    engine.docker("build", "--network=none", f"--tag={BASE}", str(context))


def _debian(kept: Path) -> Path:
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    archive = kept / f"{codename}-{_digest(_PACKAGES)}.tar"
    if not archive.exists():
        root = kept / f"{codename}-{os.getpid()}"
        _run("debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", codename, str(root))
        shutil.rmtree(root / "var/cache/apt")
        shutil.rmtree(root / "var/lib/apt/lists")
        _run("tar", "--create", f"--directory={root}", f"--file={archive}.new", "--one-file-system", ".")
        Path(f"{archive}.new").rename(archive)
        shutil.rmtree(root)
    return archive


def _wheels(kept: Path) -> Path:
    """All that the package needs to be installed, in the locked versions."""
    lock, told = CHECKOUT / "requirements.lock", asked_for()
    extras = [line for extra in _EXTRAS for line in told["extras_require"][extra]]
    needed = [*told["install_requires"], *extras, "setuptools>=77"]
    wheels = kept / f"wheels-{_digest(lock.read_text(), needed)}"
    if not wheels.exists():
        made = kept / f"{wheels.name}-{os.getpid()}"
        _run(sys.executable, "-m", "pip", "wheel", f"--constraint={lock}", f"--wheel-dir={made}", *needed)
        made.rename(wheels)
    return wheels


def _digest(*made_of: object) -> str:
    return hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]


def _run(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECS, check=False)
    assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
