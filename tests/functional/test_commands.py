"""The command line of ``twistd`` as an operator meets it."""

import shutil
import sys
from pathlib import Path

import pytest

from farmkit.launch import CHECKOUT, PROGRAMS
from farmkit.processes import Command, inherited

pytestmark = pytest.mark.functional

TWISTD = str(PROGRAMS / "twistd")
ROLES = {"sccache-scheduler", "sccache-server", "sccache-worker"}

_SCHEDULER = """\
public_addr = "127.0.0.1:10600"
client_auth = { type = "token", token = 5 }
server_auth = { type = "DANGEROUSLY_INSECURE" }
"""
_WORKER = """\
cache_dir = "cache"
gateway = { urls = ["10.0.0.1:10501"], token = "a worker's" }
builder = { type = "overlay", build_dir = "build", bwrap_path = "/usr/bin/bwrap" }
"""
_SERVER = """\
cache_dir = "cache"
public_addr = "localhost"
scheduler_url = "http://127.0.0.1:10600"
builder = { type = "overlay", build_dir = "build", bwrap_path = "/usr/bin/bwrap" }
scheduler_auth = { type = "DANGEROUSLY_INSECURE" }
"""


@pytest.mark.parametrize(
    ("plugin", "config", "problem"),
    [
        ("sccache-scheduler", _SCHEDULER, "client_auth.token: expected "),
        ("sccache-server", _SERVER, "public_addr: expected "),
        ("sccache-worker", _WORKER, "gateway.urls[0]: expected "),
    ],
)
def test_a_wrong_configuration_ends_the_command_before_it_detaches(
    tmp_path: Path, plugin: str, config: str, problem: str
) -> None:
    """A status that is not 0, and one line with the file, the key and what was expected."""
    file = tmp_path / "daemon.conf"
    file.write_text(config)
    arguments = (TWISTD, f"--pidfile={tmp_path / 'pid'}", f"--logfile={tmp_path / 'log'}", plugin, "-c")
    ended = Command((*arguments, str(file)), inherited(PYTHONPATH=str(CHECKOUT)), tmp_path).run()
    assert ended.returncode != 0
    lines = (ended.stdout + ended.stderr).splitlines()
    assert len(lines) == 1, lines
    assert f"{file}: {problem}" in lines[0]
    assert list(tmp_path.iterdir()) == [file]


def test_help_lists_all_plugins_without_loading_klein() -> None:
    """``twistd --help`` knows all roles; to import Klein would choose the reactor for every other plugin."""
    script = (
        "import atexit, sys; from twisted.scripts.twistd import run; "
        "atexit.register(lambda: print('klein' in sys.modules)); sys.argv = ['twistd', '--help']; run()"
    )
    ended = Command((sys.executable, "-c", script), inherited(), CHECKOUT).run()
    assert ended.returncode == 0, ended
    assert plugins(ended.stdout) == ROLES
    assert ended.stdout.splitlines()[-1] == "False"


def test_a_wheel_offers_all_plugins(tmp_path: Path) -> None:
    """What is installed from a wheel, and nothing of the checkout, has all roles and what belongs to them."""
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(".*", "build", "dropin.cache", "tests"))
    pip = (sys.executable, "-m", "pip", "--no-input")
    build = (*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source))
    built = Command(build, inherited(), tmp_path).run()
    assert built.returncode == 0, built
    [wheel] = tmp_path.glob("*.whl")
    install = (*pip, "install", "--no-deps", "--target", str(site), str(wheel))
    assert Command(install, inherited(), tmp_path).run().returncode == 0
    ended = Command((TWISTD, "--help"), inherited(PYTHONPATH=str(site)), tmp_path).run()
    assert plugins(ended.stdout) == ROLES
    completions = (f"sccachedist/cli/completion/sccachedist.{shell}" for shell in ("bash", "zsh", "fish"))
    page = ("sccachedist/page/index.html", "sccachedist/page/views/farm.js")
    wanted = ("sccachedist/py.typed", *page, "share/man/man1/sccachedist.1", *completions)
    assert [name for name in wanted if not (site / name).exists()] == []


def plugins(help_text: str) -> set[str]:
    """Those of our commands that a help text lists."""
    return {word for line in help_text.splitlines() for word in line.split()[:1] if word.startswith("sccache")}
