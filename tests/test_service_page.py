"""The page about services: what it has one run makes users, folders, modes and links as the units expect them.

The commands work on a root of their own, as ``--root`` of systemd's tools lets them.
"""

import re
import stat
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
CONTRIB = CHECKOUT / "contrib"
PAGE = (CHECKOUT / "doc" / "service.rst").read_text()
UNITS = {path.name: path.read_text() for path in (CONTRIB / "systemd").glob("*.service")}
#: Commands that are another test's, or that need a system that has been booted.
ELSEWHERE = ("python3 ", "/opt/", "systemctl daemon-reload")


def commands(name: str) -> list[str]:
    """The commands of a block of the page."""
    [block] = re.findall(rf"   :name: {name}\n\n((?:   .+\n)+)", PAGE)
    return [line.strip() for line in block.splitlines()]


def value(unit: str, key: str) -> str:
    """What a unit sets."""
    [found] = re.findall(rf"(?m)^{key}=(.*)$", UNITS[unit])
    return str(found)


class Root:
    """The root of a file system, with nothing in it but what a command needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("etc/systemd/system", "usr/lib", "var/lib"):
            (folder / name).mkdir(parents=True)

    def run(self, block: str) -> None:
        """Run the commands of a block, here instead of in the system."""
        lines = [line for line in commands(block) if not line.startswith(ELSEWHERE)]
        tools = r"^(systemctl|systemd-sysusers|systemd-tmpfiles)\b"
        here = [
            re.sub(tools, rf"\1 --root={self.folder}", re.sub(r" (/etc/)", rf" {self.folder}\1", line))
            for line in lines
        ]
        for line in here:
            line = line.replace(" --now", "")
            subprocess.run(["/bin/sh", "-ec", line], cwd=CHECKOUT, check=True, capture_output=True, timeout=60)

    def ids(self, kind: str) -> dict[str, int]:
        """The numbers of users (``passwd``) or groups (``group``)."""
        lines = (self.folder / "etc" / kind).read_text().splitlines()
        return {line.split(":")[0]: int(line.split(":")[2]) for line in lines}


@pytest.mark.functional
def test_commands(tmp_path: Path) -> None:
    """Users and groups are there; a configuration is for its daemon's group alone; the unit starts at boot."""
    root = Root(tmp_path / "root")
    root.run("install")
    root.run("configure")
    root.run("start")
    for unit in UNITS:
        assert (root.folder / "etc/systemd/system" / unit).read_text() == UNITS[unit]
        assert value(unit, "User") in root.ids("passwd").keys() & root.ids("group").keys()
    config = (root.folder / "etc/sccachedist/scheduler.conf").stat()
    group = root.ids("group")[value("sccachedist-scheduler.service", "User")]
    assert (stat.S_IMODE(config.st_mode), config.st_uid, config.st_gid) == (0o640, 0, group)
    wanted = root.folder / "etc/systemd/system/multi-user.target.wants"
    assert [path.name for path in wanted.iterdir()] == ["sccachedist-scheduler.service"]


@pytest.mark.parametrize("unit", UNITS)
def test_names_agree(unit: str) -> None:
    """Users, folders and configurations are the same in units, rules and pages; a unit watches its daemon."""
    rules = (CONTRIB / "systemd" / "sccachedist.tmpfiles").read_text()
    users = (CONTRIB / "systemd" / "sccachedist.sysusers").read_text()
    [config] = re.findall(r"--config (\S+)", value(unit, "ExecStart"))
    user, state = value(unit, "User"), f"/var/lib/{value(unit, 'StateDirectory')}"
    assert f"z {config} 0640 root {user} -\n" in rules
    assert re.search(rf'(?m)^u {user} - ".*" /var/lib/', users)
    assert state in PAGE
    assert config in PAGE
    assert (value(unit, "Type"), value(unit, "WatchdogSec")) == ("notify", "60")
    if unit == "sccachedist-server.service":
        assert f'cache_dir = "{state}/cache"' in (CHECKOUT / "README.md").read_text()
        assert f'build_dir = "{state}/build"' in (CHECKOUT / "README.md").read_text()


@pytest.mark.functional
def test_records_are_rotated(tmp_path: Path) -> None:
    """Logrotate takes the rules for the file of records, and has the scheduler told."""
    rules = (CONTRIB / "logrotate" / "sccachedist-records").read_text()
    user = value("sccachedist-scheduler.service", "User")
    assert f"su {user} {user}\n" in rules
    assert "kill --kill-who=main --signal=HUP sccachedist-scheduler.service" in rules
    folder = tmp_path / "records"
    folder.mkdir(mode=0o700)
    (folder / "jobs.jsonl").write_text("{}\n")
    here = rules.replace(f"/var/lib/{value('sccachedist-scheduler.service', 'StateDirectory')}", str(folder))
    here = here.replace(f"    su {user} {user}\n", "").replace("systemctl", f"echo >{tmp_path}/told")
    (tmp_path / "rules").write_text(here)
    rotate = ["logrotate", "--force", "--state", str(tmp_path / "state"), str(tmp_path / "rules")]
    subprocess.run(rotate, check=True, timeout=60)
    assert [path.name for path in folder.iterdir()] == ["jobs.jsonl.1"]
    assert (tmp_path / "told").exists()
