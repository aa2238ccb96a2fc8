"""An image of a fresh Debian, made by debootstrap: with the packages that the daemons' image needs, and with wheels.

``pip`` in it installs these wheels and asks no index, so that all that follows needs no network.
``SCCACHEDIST_BASE`` names a folder that keeps what was made for the next run, where a minute counts.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from farmkit.launch import CHECKOUT
from tests.support.docker_engine import DockerEngine
from tests.test_packaging import asked_for

#: The name of the image.
BASE = "sccachedist-base"
_PACKAGES = ("bubblewrap", "ca-certificates", "python3", "python3-venv", "tini")
_SECS = 600
_PIP = "[global]\nno-index = true\nfind-links = /wheels\n"


def import_base(engine: DockerEngine, temporary: Path) -> None:
    """Give the image to an engine.

    :param temporary: a folder for what it is made of, if none is kept.
    """
    kept = Path(os.environ.get("SCCACHEDIST_BASE", temporary))
    engine.docker("import", str(_debian(kept)), "debian")
    context = temporary / "context"
    shutil.copytree(_wheels(kept), context / "wheels")
    (context / "pip.conf").write_text(_PIP)
    (context / "Dockerfile").write_text("FROM debian\nCOPY wheels /wheels\nCOPY pip.conf /etc/\n")
    engine.docker("build", "--network=none", f"--tag={BASE}", str(context))


def _debian(kept: Path) -> Path:
    """The archive of its root."""
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    archive = kept / f"{codename}.tar"
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
    """The folder of all that the package needs to be installed, in the locked versions."""
    lock, told = CHECKOUT / "requirements.lock", asked_for()
    needed = [*told["install_requires"], *told["extras_require"]["cluster"], "setuptools>=77"]
    wheels = kept / f"wheels-{hashlib.sha256(f'{lock.read_text()}{needed}'.encode()).hexdigest()[:16]}"
    if not wheels.exists():
        made = kept / f"{wheels.name}-{os.getpid()}"
        _run(sys.executable, "-m", "pip", "wheel", f"--constraint={lock}", f"--wheel-dir={made}", *needed)
        made.rename(wheels)
    return wheels


def _run(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECS, check=False)
    assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
