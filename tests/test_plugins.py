"""What twistd sees of both roles, and how a configuration that cannot be used ends the command."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError

from sccachedist.daemon.startup import RoleOptions, check_address, check_directory
from sccachedist.errors import ConfigError
from sccachedist.scheduler import service as scheduler_service
from sccachedist.server import service as server_service
from sccachedist.wire.addresses import ServerId

CHECKOUT = Path(__file__).parents[1]
LOOK = """
import sys
import twisted.plugins.sccachedist_plugins
print(*sorted({"klein", "treq", "twisted.internet.reactor", "sccachedist"} & set(sys.modules)))
"""
LOAD = """
import gc
from twisted.plugins.sccachedist_plugins import {role}
searches = []
gc.callbacks.append(lambda phase, _: searches.append(phase))
options = {role}.options
print(options.__name__, len(searches), gc.isenabled(), gc.get_freeze_count() > 10_000)
"""
MAKERS = pytest.mark.parametrize("maker", [scheduler_service, server_service], ids=["scheduler", "server"])


def test_found() -> None:
    """All roles are among twistd's commands."""
    makers: Any = getPlugins(IServiceMaker)
    found = {maker.tapname: maker.module for maker in makers}
    assert found["sccache-scheduler"] == "sccachedist.scheduler.service"
    assert found["sccache-server"] == "sccachedist.server.service"
    assert found["sccache-worker"] == "sccachedist.worker.service"


def test_light() -> None:
    """Looking at the commands loads neither Klein, which would install the reactor, nor any of ours."""
    looked = subprocess.run([sys.executable, "-c", LOOK], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert looked.stdout.split() == []


@pytest.mark.parametrize("role", ["scheduler", "server", "worker"])
def test_no_garbage_is_searched_for_while_a_role_is_loaded(role: str) -> None:
    """What is loaded stays, and is left out of later searches, which do take place."""
    loading = [sys.executable, "-c", LOAD.format(role=role)]
    loaded = subprocess.run(loading, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == ["RoleOptions", "0", "True", "True"]


@MAKERS
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("public_addr = 7", "public_addr"),
        ("nonsense", "TOML"),
        ("unknown_key = 1", "unknown_key"),
    ],
)
def test_wrong_file(tmp_path: Path, maker: Any, content: str | None, said: str) -> None:
    """A wrong file ends the command with one line that names the file and what is wrong."""
    config = tmp_path / "wrong.conf"
    if content is not None:
        config.write_text(content)
    options = RoleOptions()
    options.parseOptions(["--config", str(config)])
    with pytest.raises(SystemExit) as ended:
        maker.makeService(options)
    line = str(ended.value)
    assert line.startswith(f"sccachedist: {config}: ")
    assert said in line
    assert "\n" not in line


def test_a_directory_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A role is not started there, with one line that says why."""
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SystemExit, match=r"^sccachedist: the current directory cannot be used: No such file"):
        RoleOptions().parseOptions(["--config", "server.conf"])


def test_right_file_for_another_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that cannot be used here end the command in the same way."""
    config = tmp_path / "server.conf"
    config.write_text(f"""
        cache_dir = "{config}/cache"
        public_addr = "127.0.0.1:10501"
        scheduler_url = "http://127.0.0.1:10600"
        builder = {{type = "docker"}}
        scheduler_auth = {{type = "token", token = "t"}}
    """)
    monkeypatch.setattr(server_service, "check_address", lambda *_: None)
    options = RoleOptions()
    options.parseOptions(["--config", str(config)])
    with pytest.raises(SystemExit, match="cache_dir: ") as ended:
        server_service.makeService(options)
    assert str(ended.value).startswith(f"sccachedist: {config}: ")


def test_no_file() -> None:
    """The command says which option is missing."""
    with pytest.raises(UsageError, match="--config"):
        RoleOptions().parseOptions([])


def test_directory_that_cannot_be(tmp_path: Path) -> None:
    """A directory that may be made is good; one below a file is not, and its key is named."""
    check_directory("cache_dir", tmp_path)
    check_directory("cache_dir", tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cache_dir: .*file"):
        check_directory("cache_dir", tmp_path / "file" / "a")


def test_address_that_is_not_ours() -> None:
    """An address of another machine is found out before the command detaches, and its key is named."""
    with pytest.raises(ConfigError, match=r"bind_address: cannot listen on 192\.0\.2\.1:1"):
        check_address("bind_address", ServerId.parse("192.0.2.1:1"))
