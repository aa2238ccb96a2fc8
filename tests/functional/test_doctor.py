"""The doctor on hosts that are well and on some that are not."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import CHECKOUT, OUR_SERVER, PROGRAMS, replacing
from farmkit.processes import Command, inherited
from tests.functional.conftest import running_farm
from tests.support.pots import PotHost

pytestmark = pytest.mark.functional


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """A farm for one test."""
    (tmp_path / "farm").mkdir()
    yield from running_farm(Farm(tmp_path / "farm"))


def doctor(config: Path, *before: str, options: Sequence[str] = (), **variables: str) -> tuple[int, dict[str, str]]:
    """The exit status, and what is said of each check: its level, then the rest of the line.

    :param before: a program that runs the command.
    :param options: further ones of it.
    """
    arguments = (*before, str(PROGRAMS / "sccachedist"), "doctor", "--config", str(config), *options)
    ended = Command(arguments, inherited(PYTHONPATH=str(CHECKOUT)) | variables, CHECKOUT).run()
    lines = {}
    for line in ended.stdout.splitlines():
        level, _, rest = line.partition(" ")
        check, _, text = rest.strip().partition(": ")
        lines[check] = f"{level} {text}"
    assert lines, ended
    assert ended.stderr == ""
    return ended.returncode, lines


def config_of(farm: Farm, role: str) -> Path:
    """The configuration file of a daemon."""
    return farm.folder / role / f"{role}.conf"


def test_a_build_server_that_is_well(farm: Farm) -> None:
    """Nothing fails, whether the daemon runs or not, and a running one is left alone."""
    status, lines = doctor(config_of(farm, "server"))
    assert status == 0, lines
    for check in ("bubblewrap", "sandbox", "scheduler", "token", "sender", "clocks", "public_addr"):
        assert lines[check].startswith("ok "), lines
    assert {"limit of memory", "limit of pids", "cache_dir", "builder.build_dir"} <= lines.keys()
    assert farm.status().num_servers == 1
    assert farm.server.running
    farm.server.stop()
    status, lines = doctor(config_of(farm, "server"))
    assert (status, lines["public_addr"].split()[0]) == (0, "warning"), lines


def test_a_build_server_with_pots(farm: Farm, tmp_path: Path) -> None:
    """The trial job of its start is run in a pot, and what breaks it is named."""
    assert os.geteuid() == 0, "what runs in a fake pot is chrooted"
    (tmp_path / "host").mkdir()
    host, config = PotHost.make(tmp_path / "host"), config_of(farm, "server")
    replacing(OUR_SERVER, builder=f'type = "pot"\npot_fs_root = "{host.fs_root}"')(config)
    status, lines = doctor(config, **host.environment)
    assert (status, lines["pot"], lines["sandbox"].split()[0]) == (0, "ok it answers", "ok"), lines
    host.break_("start")
    status, lines = doctor(config, **host.environment)
    assert (status, lines["sandbox"].split()[0]) == (1, "FAILED"), lines
    assert "pot start failed" in lines["sandbox"]


def test_what_is_wrong_is_named(farm: Farm) -> None:
    """Each fault fails its own check, and the command."""
    config = config_of(farm, "server")
    text = config.read_text()
    text = re.sub(r'bwrap_path = ".*"', 'bwrap_path = "/no/bwrap"', text)
    config.write_text(re.sub(r'(token = "[^"]*)..."', r'\1AAA"', text))
    farm.scheduler.stop()
    status, lines = doctor(config)
    assert status == 1
    for check in ("bubblewrap", "sandbox", "scheduler", "token"):
        assert lines[check].startswith("FAILED "), lines
    assert "install bubblewrap" in lines["sandbox"]


def test_a_token_that_is_refused(farm: Farm) -> None:
    """The scheduler is asked."""
    config = config_of(farm, "server")
    config.write_text(re.sub(r'(token = "[^"]*)..."', r'\1AAA"', config.read_text()))
    status, lines = doctor(config)
    assert (status, lines["token"].split()[0], lines["scheduler"].split()[0]) == (1, "FAILED", "ok"), lines


def test_a_scheduler(farm: Farm) -> None:
    """It answers, and others may read its secrets."""
    config = config_of(farm, "scheduler")
    config.chmod(0o644)
    status, lines = doctor(config)
    assert status == 0
    assert lines["public_addr"] == "ok it answers, and has 1 build server"
    assert lines["configuration"].startswith("warning ")
