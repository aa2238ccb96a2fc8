"""Fresh systems, made by mmdebstrap: what the daemons need, and wheels beside it, for this release and for a newer one.

``pip`` installs these wheels and asks no index, so that all that follows needs no network.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs

from farmkit.launch import CHECKOUT
from tests.support.docker_engine import DockerEngine
from tests.test_packaging import asked_for

#: The name of the image.
BASE = "sccachedist-base"
#: The configuration of pip there.
PIP = "[global]\nno-index = true\nfind-links = /wheels\n"
#: The release of Debian that this machine has.
THIS = platform.freedesktop_os_release()["VERSION_CODENAME"]
#: One as near as Debian has it to Ubuntu 24.04, and newer: systemd 257, AppArmor 4 and Python 3.13; and its Python.
NEWER, _NEWER_PYTHON = "trixie", "3.13"
#: The newer release with what builds and judges a package of it.
BUILDER = "builder"

_SYSTEM = ("bubblewrap", "ca-certificates", "python3", "python3-venv", "systemd", "tini")
#: The names of the roots, with the release of each and its packages.
_ROOTS = {
    THIS: (THIS, _SYSTEM),
    NEWER: (NEWER, (*_SYSTEM, "docker-compose")),
    BUILDER: (NEWER, ("apparmor", "debhelper", "lintian", "python3", "python3-venv")),
}
#: The extras that the image and the package have.
_EXTRAS = ("cluster", "top")
#: The forms of wheels that a system with a C library of the last years takes.
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
#: Compose, in the root of the newer release, and where docker looks for it in the folder of its configuration.
_COMPOSE, _PLUGIN = "usr/libexec/docker/cli-plugins/docker-compose", "cli-plugins/docker-compose"
_SECS = 900


@attrs.frozen
class Base:
    """What all begins with.

    :param kept: the folder that has the roots; one is made when it is first asked for, and stays as it is.
    :param wheels: a folder.
    """

    kept: Path
    wheels: Path

    def root(self, name: str) -> Path:
        """The folder with the files of a root: ``THIS``, ``NEWER`` or ``BUILDER``."""
        release, packages = _ROOTS[name]
        root = self.kept / f"{release}-{_digest(packages)}"
        with locked(root.with_suffix(".lock")):
            if not root.exists():
                made = root.with_suffix(f".{os.getpid()}")
                # Files need not have reached the disk before each next step.
                options = ("--variant=minbase", "--dpkgopt=force-unsafe-io", f"--include={','.join(packages)}")
                _run("mmdebstrap", "--quiet", "--format=directory", *options, release, str(made))
                made.rename(root)
        return root

    def add_compose(self, folder: Path) -> None:
        """Give a folder with the configuration of ``docker`` the plugin ``compose``, which the newer release has."""
        (folder / _PLUGIN).parent.mkdir()
        shutil.copy(self.root(NEWER) / _COMPOSE, folder / _PLUGIN)


def make_base(kept: Path) -> Base:
    """Make it in a folder, as far as it is not there."""
    with locked(kept / "wheels.lock"):
        return Base(kept, _wheels(kept))


def import_base(engine: DockerEngine, base: Base, temporary: Path) -> None:
    """Give it to an engine, as an image."""
    packed = ("tar", "--create", "--one-file-system", f"--directory={base.root(THIS)}", ".")
    engine.docker("import", "-", "debian", stdin=subprocess.check_output(packed, timeout=_SECS))
    context = temporary / "context"
    shutil.copytree(base.wheels, context / "wheels")
    (context / "pip.conf").write_text(PIP)
    (context / "Dockerfile").write_text("FROM debian\nCOPY wheels /wheels\nCOPY pip.conf /etc/\n")
    engine.docker("build", "--network=none", f"--tag={BASE}", str(context))


def _wheels(kept: Path) -> Path:
    """All that the package needs, in the locked versions, for this Python and for that of the newer release."""
    lock, told = CHECKOUT / "requirements.lock", asked_for()
    extras = [line for extra in _EXTRAS for line in told["extras_require"][extra]]
    needed = [*told["install_requires"], *extras, "setuptools>=77"]
    wheels = kept / f"wheels-{_digest(lock.read_text(), needed)}"
    if not wheels.exists():
        made = kept / f"{wheels.name}-{os.getpid()}"
        _run(sys.executable, "-m", "pip", "wheel", f"--constraint={lock}", f"--wheel-dir={made}", *needed)
        platforms = [f"--platform={each}_{platform.machine()}" for each in _PLATFORMS]
        options = ("--no-deps", "--only-binary=:all:", f"--python-version={_NEWER_PYTHON}", *platforms)
        _run(sys.executable, "-m", "pip", "download", *options, f"--dest={made}", *_bound_to_this_python(made))
        made.rename(wheels)
    return wheels


def _bound_to_this_python(wheels: Path) -> list[str]:
    """What of some wheels another Python has to have as a wheel of its own, as pip is told."""
    names = re.compile(r"(\w+)-([^-]+)-cp\d+-cp\d+-.*\.whl")
    return [f"{found[1]}=={found[2]}" for found in map(names.fullmatch, os.listdir(wheels)) if found]


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """One process of several at a time."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(*made_of: object) -> str:
    return hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]


def _run(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECS, check=False)
    assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
