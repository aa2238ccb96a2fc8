"""Both daemons and each command in every locale, in an empty environment, and beside names that are not UTF-8.

Python takes UTF-8 in the C locale, unless it is told not to: then it is as in a locale with an old encoding.
"""

import os
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import CHECKOUT, OUR_SCHEDULER, OUR_SERVER, PROGRAMS, Launch
from farmkit.processes import Command
from farmkit.published_client import Client, Statistics
from tests.functional.test_doctor import config_of

pytestmark = pytest.mark.functional

SCCACHEDIST = str(PROGRAMS / "sccachedist")
LOCALES = {
    "none": {},
    "C": {"LC_ALL": "C"},
    "wrong": {"LC_ALL": "xx_YY.UTF-8", "LANG": "xx"},
    "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


def within(launch: Launch, variables: dict[str, str]) -> Launch:
    """The same daemon, with these variables and no others."""

    def launch_within(config: Path) -> Command:
        command = launch(config)
        return attrs.evolve(command, environment={"PYTHONPATH": str(CHECKOUT), **variables})

    return launch_within


@pytest.mark.parametrize("variables", LOCALES.values(), ids=LOCALES)
def test_a_farm_in_a_locale(tmp_path: Path, toolchains: Path, variables: dict[str, str]) -> None:
    """Jobs with names of any script run, those that miss an output are told of, and no log has a traceback."""
    folder = tmp_path / ("farm" if "PYTHONUTF8" in variables else "fä日")
    folder.mkdir()
    work = tmp_path / "wörk日"
    work.mkdir()
    (work / "ü.c").write_text("int one;\n")
    (work / "wrong.c").write_text("int ü = \n")
    with (
        Farm(folder, within(OUR_SCHEDULER, variables), within(OUR_SERVER, variables)) as farm,
        Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains) as client,
    ):
        ended = client.compiling(("gcc", "-c", "ü.c", "-o", "ü日.o"), work).run()
        assert ended.returncode == 0, ended
        assert client.compiling(("gcc", "-c", "wrong.c", "-o", "ü.o"), work).run().returncode == 1
        assert client.statistics() == Statistics({str(farm.server_id): 1}, errors=0)
        logs = [(folder / f"{role}.log").read_text() for role in ("scheduler", "server")]
    assert (work / "ü日.o").exists()
    assert not [log for log in logs if "Traceback" in log or "UnicodeE" in log]


COMMANDS = {
    "doctor of a build server": ("doctor", "--config", "{server}"),
    "doctor of a scheduler": ("doctor", "--config", "{scheduler}"),
    "server token": ("auth", "generate-jwt-hs256-server-token", "--server", "127.0.0.1:1", "--config", "{scheduler}"),
    "wrong server": ("auth", "generate-jwt-hs256-server-token", "--server", "{odd}", "--secret-key", "{odd}"),
    "drain": ("drain", "{odd}", "--config", "{scheduler}"),
    "drain elsewhere": ("drain", "127.0.0.1:1", "--config", "{scheduler}", "--scheduler", "http://é.invalid"),
    "missing file": ("scheduler", "--config", "{odd}/é.conf"),
    "unknown": ("{odd}",),
    "help": ("--help",),
}


@pytest.mark.parametrize("variables", LOCALES.values(), ids=LOCALES)
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_in_a_locale(farm: Farm, tmp_path: Path, command: tuple[str, ...], variables: dict[str, str]) -> None:
    """It says what it has to say, or what is wrong, in words; with its files in a folder whose name is not UTF-8."""
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    os.mkdir(odd)
    files = {}
    for role in ("server", "scheduler"):
        files[role] = f"{odd}/{role}.conf"
        Path(files[role]).write_bytes(config_of(farm, role).read_bytes())
        Path(files[role]).chmod(0o600)
    arguments = [SCCACHEDIST, *(word.format(odd=odd, **files) for word in command)]
    ended = Command(
        tuple(arguments), {"PYTHONPATH": str(CHECKOUT), "PATH": "/usr/bin:/bin", **variables}, tmp_path
    ).run()
    assert ended.stdout + ended.stderr != ""
    assert "Traceback" not in ended.stderr
    assert "UnicodeE" not in ended.stderr


@pytest.mark.parametrize("arguments", [("server", "--config"), ("doctor", "--config")], ids=" ".join)
def test_a_path_that_the_locale_lacks(farm: Farm, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """It ends with a line that names the key, and what to do."""
    config = tmp_path / "server.conf"
    config.write_text(config_of(farm, "server").read_text().replace('cache_dir = "', 'cache_dir = "/é'))
    environment = {"PYTHONPATH": str(CHECKOUT), **LOCALES["ASCII"]}
    ended = Command((SCCACHEDIST, *arguments, str(config)), environment, tmp_path).run()
    assert ended.returncode == 1
    assert ended.stderr.endswith("server.conf: cache_dir: not in ascii, the locale's encoding: set LC_ALL=C.UTF-8\n")
