"""Where real daemons write their logs and in which form: files that logrotate rotates, the journal, lines of JSON."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from farmkit.farm import Farm
from farmkit.launch import CHECKOUT, OUR_SCHEDULER, OUR_SERVER, Launch, adding
from farmkit.processes import Command, Daemon, wait_until
from sccachedist import __version__
from tests.support.processes import opened

pytestmark = pytest.mark.functional

ROLES = ("scheduler", "server")
_SHIPPED = (CHECKOUT / "contrib" / "logrotate" / "sccachedist").read_text()
_BY_RENAME = re.sub(r"(?s)    sharedscripts.*endscript\n", "", _SHIPPED)
WAYS = {"shipped": _SHIPPED, "rename": _BY_RENAME, "copytruncate": re.sub("create .*", "copytruncate", _BY_RENAME)}


def logging_to_file(launch: Launch, folder: Path) -> Launch:
    """The same daemon, with its log and its PID in files of a folder."""

    def launch_logging(config: Path) -> Command:
        command, place = launch(config), folder / config.stem
        options = [f"--pidfile={place}.pid" if each == "--pidfile=" else each for each in command.arguments]
        return attrs.evolve(command, arguments=(options[0], "--logfile", f"{place}.log", *options[1:]))

    return launch_logging


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Where the logs are."""
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


@pytest.fixture
def farm(tmp_path: Path, logs: Path) -> Iterator[Farm]:
    """Two daemons that log to files."""
    with Farm(tmp_path, logging_to_file(OUR_SCHEDULER, logs), logging_to_file(OUR_SERVER, logs)) as farm:
        yield farm


def daemon_of(farm: Farm, role: str) -> Daemon:
    """The daemon of a role."""
    daemon: Daemon = getattr(farm, role)
    return daemon


def prompt(daemon: Daemon, log: Path) -> str:
    """Make a daemon log one more line, and give it."""

    def told() -> int:
        return len(re.findall("SIGUSR2|not drained any more", log.read_text())) if log.exists() else 0

    before = told()
    daemon.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: told() > before, 30, "the line is in the file")
    return log.read_text().splitlines()[-1]


@pytest.mark.parametrize("way", WAYS)
def test_logrotate(farm: Farm, logs: Path, way: str) -> None:
    """No line is lost or comes twice, and the new file begins with a line, however the old one was taken away."""
    rules = WAYS[way].replace("/var/log/sccachedist", str(logs)).replace("/run/sccachedist", str(logs))
    (logs / "rules").write_text(rules.replace("sccachedist adm", "root root"))
    for _ in range(2):
        before = {role: prompt(daemon_of(farm, role), logs / f"{role}.log") for role in ROLES}
        rotate = ("logrotate", "--force", "--state", str(logs / "state"), str(logs / "rules"))
        subprocess.run(rotate, check=True, timeout=60)
        for role in ROLES:
            log, old = logs / f"{role}.log", logs / f"{role}.log.1"
            if way == "shipped":
                daemon_of(farm, role).wait_until(lambda log=log, role=role: has_open(farm, role, log), 30, "reopened")  # type: ignore[misc]
            prompt(daemon_of(farm, role), log)
            assert old.read_text().splitlines()[-1] == before[role]
            lines = log.read_bytes().splitlines()
            assert all(line.startswith(b"20") for line in lines)
            assert sum(b"the configuration was read again" not in line for line in lines) == 1  # SIGHUP does that, too
    assert (logs / "scheduler.log.2.gz").exists()


def has_open(farm: Farm, role: str, log: Path) -> bool:
    """Whether a daemon has a file open."""
    return str(log.resolve()) in opened(daemon_of(farm, role).process.pid)


def test_signals_without_rotation(farm: Farm, logs: Path) -> None:
    """A file that is removed is made again at SIGHUP."""
    for role in ROLES:
        log = logs / f"{role}.log"
        log.unlink()
        daemon_of(farm, role).process.send_signal(signal.SIGHUP)
        wait_until(log.exists, 30, "there is a log again")


def to_the_journal(launch: Launch) -> Launch:
    """The same daemon as systemd starts it: with the log that it gets as standard output in ``JOURNAL_STREAM``."""

    def launch_in_journal(config: Path) -> Command:
        command = launch(config)
        log = config.parent.parent / f"{config.stem}.log"
        log.touch()
        stream = f"{log.stat().st_dev}:{log.stat().st_ino}"
        return attrs.evolve(command, environment={**command.environment, "JOURNAL_STREAM": stream})

    return launch_in_journal


def test_the_journal(tmp_path: Path) -> None:
    """It has a time of its own for each line, and gets a priority with it."""
    with Farm(tmp_path, to_the_journal(OUR_SCHEDULER), to_the_journal(OUR_SERVER)) as farm:
        logs = [daemon_of(farm, role).log for role in ROLES]
    for log in logs:
        lines = log.read_text().splitlines()
        assert re.fullmatch(rf"<6>\[[\w.]+#info\] sccachedist {__version__}: .*", lines[0])
        assert [line for line in lines if not re.match(r"<[2-6]>\[", line)] == []
        assert {line[:3] for line in lines if "#warn]" in line} <= {"<4>"}


def test_json(tmp_path: Path) -> None:
    """Each line is an object with time, level, role and message, and what the message is made of."""
    scheduler, server = (adding(launch, log='format = "json"') for launch in (OUR_SCHEDULER, OUR_SERVER))
    with Farm(tmp_path, scheduler, server) as farm:
        logs = {"scheduler": farm.scheduler.log, "build server": farm.server.log}
    for role, log in logs.items():
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert {line["role"] for line in lines} == {role}
        for line in lines:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+]\d{4}", line["time"])
            assert line["level"] in ("debug", "info", "warn", "error", "critical")
            assert line["message"]
        assert lines[0]["version"] == __version__
        assert lines[0]["message"].startswith(f"sccachedist {__version__}: {role} at ")
    (joined,) = [
        line
        for line in map(json.loads, logs["scheduler"].read_text().splitlines())
        if line["message"].endswith(" CPUs")
    ]
    assert joined["server"] == str(farm.server_id)
    assert joined["cpus"] >= 1


def test_a_list_of_plugins_that_cannot_be_kept(tmp_path: Path) -> None:
    """Twisted does without it, and the log has no line about it."""
    package = tmp_path / "package"
    shutil.copytree(
        CHECKOUT / "twisted", package / "twisted", ignore=shutil.ignore_patterns("dropin.cache", "__pycache__")
    )
    (package / "sccachedist").symlink_to(CHECKOUT / "sccachedist")

    def launch(config: Path) -> Command:
        command = OUR_SCHEDULER(config)
        read_only = ("bwrap", "--bind", "/", "/", "--dev", "/dev", "--ro-bind", str(package), str(package))
        arguments = (*read_only, "--die-with-parent", *command.arguments)
        return Command(arguments, {**command.environment, "PYTHONPATH": str(package)}, package)

    farm = Farm(tmp_path, launch)
    try:
        farm.start_scheduler()
    finally:
        farm.stop()
    assert "plugin cache" not in farm.scheduler.log.read_text()
