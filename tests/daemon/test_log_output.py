"""The forms of a log, and a log file that other programs move."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import Logger as TwistedLogger
from twisted.logger import LogPublisher

from sccachedist.config import LogFormat
from sccachedist.daemon.log_output import LogFile, log_output
from sccachedist.errors import ConfigError

OPTIONS: dict[str, Any] = {"logger": None, "logfile": None, "syslog": False, "prefix": "twisted", "nodaemon": True}


def written(tmp_path: Path, form: LogFormat, **options: Any) -> tuple[TwistedLogger, Path]:
    """A logger, and the file that its lines are in."""
    log = tmp_path / "log"
    output = log_output({**OPTIONS, "logfile": str(log), **options}, form, "scheduler")
    assert output is not None
    return TwistedLogger("sccachedist.test", observer=LogPublisher(output)), log


def test_text(tmp_path: Path) -> None:
    """A line has time, module, level and text; what follows a line's end is indented."""
    logger, log = written(tmp_path, LogFormat.TEXT)
    logger.warn("one\ntwo {three}", three=3)
    text = log.read_text()
    assert text.startswith("20")
    assert text.endswith("+0000 [sccachedist.test#warn] one\n\ttwo 3\n")


def test_json(tmp_path: Path) -> None:
    """An event's plain fields stand beside the four that each line has, and never in their place."""
    logger, log = written(tmp_path, LogFormat.JSON)
    logger.warn("{job_id}\n{server}", job_id=2**62, server="a", role="mine", others=[1], log_hidden=1)
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logger.failure("broken")
    first, second = map(json.loads, log.read_text().splitlines())
    assert first.pop("time").startswith("20")
    said = f"{2**62}\na"
    assert first == {"level": "warn", "role": "scheduler", "message": said, "job_id": 2**62, "server": "a"}
    assert (second["level"], second["message"]) == ("critical", "broken")
    assert "ZeroDivisionError" in second["traceback"]


def test_json_of_twisted(tmp_path: Path) -> None:
    """Of what is not ours there are the four fields; older events have no level."""
    logger, log = written(tmp_path, LogFormat.JSON)
    logger.observer(
        {"isError": 1, "log_format": "{log_text}", "log_text": "old", "message": (), "log_time": 1.0, "secret": "x"}
    )
    line = json.loads(log.read_text())
    assert line == {"time": line["time"], "level": "error", "role": "scheduler", "message": "old"}


def test_plugins(tmp_path: Path) -> None:
    """That Twisted cannot write its list of plugins is not logged."""
    logger, log = written(tmp_path, LogFormat.TEXT)
    logger.observer(
        {"format": "Unable to write to plugin cache %(path)s: error number %(errno)d", "path": "p", "errno": 13}
    )
    assert log.read_text() == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"logfile": "none/log"}, "--logfile {}/none/log: No such file or directory"),
        ({"logfile": "-", "nodaemon": False}, "--logfile -: a daemon in the background has no standard output"),
    ],
)
def test_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], said: str) -> None:
    """Where no log can be written, that is an error of the configuration."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        log_output({**OPTIONS, **options}, LogFormat.TEXT, "scheduler")
    assert str(caught.value) == said.format(tmp_path)


def test_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the background the log is twistd's; who names a logger gets that."""
    monkeypatch.chdir(tmp_path)
    output = log_output({**OPTIONS, "nodaemon": False}, LogFormat.TEXT, "scheduler")
    assert output is not None
    assert output.file is not None
    assert Path("twistd.log").exists()
    assert log_output({**OPTIONS, "logger": "a.logger"}, LogFormat.TEXT, "scheduler") is None


def test_a_file_that_is_moved(tmp_path: Path) -> None:
    """The next line is in a new file; where none can be made, it is in the old one."""
    folder, away = tmp_path / "logs", tmp_path / "away"
    folder.mkdir()
    log = LogFile(folder / "log")
    log.write("1")
    (folder / "log").rename(folder / "old")
    log.write("2")
    folder.rename(away)
    log.write("\udcff")
    folder.mkdir()
    log.write("4")
    found = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {Path("away/old"): "1", Path("away/log"): "2\\udcff", Path("logs/log"): "4"}


def test_a_pipe_that_nobody_reads(tmp_path: Path) -> None:
    """It is not waited for: the lines go on to the file that was there before, and none begins with it."""
    path, moved = tmp_path / "log", tmp_path / "log.1"
    log = LogFile(path)
    path.rename(moved)
    os.mkfifo(path)
    log.write("a line\n")
    log.reopen()
    log.close()
    assert moved.read_text() == "a line\n"
    with pytest.raises(ConfigError, match="--logfile"):
        LogFile(path)
