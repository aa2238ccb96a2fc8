"""The configuration is read again: all of it is in force afterwards, or nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from twisted.logger import LogLevel, capturedLogs

from sccachedist.config import SchedulerLimits, SchedulerSettings, TlsSettings, TokenAuth
from sccachedist.config.changes import ChangedKeys
from sccachedist.daemon.reload import Commit, Part, PreparedPart, Reload
from sccachedist.errors import ConfigError
from sccachedist.wire.addresses import ServerId

OLD = SchedulerSettings(
    public_addr=ServerId.parse("127.0.0.1:10600"),
    client_auth=TokenAuth("one"),
    server_auth=TokenAuth("secret"),
    tls=TlsSettings(Path("a.pem"), Path("a.key")),
)
TLS = TlsSettings(Path("b.pem"), Path("b.key"))
NEW = attrs.evolve(OLD, public_addr=ServerId.parse("127.0.0.1:1"), tls=TLS)


@attrs.define
class File:
    """What stands in the file, and what a part was told."""

    now: SchedulerSettings | Exception = OLD
    told: list[SchedulerSettings] = attrs.field(factory=list)
    reload: Reload[SchedulerSettings] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        clock: Iterator[int] = iter(range(100))
        self.reload = Reload(OLD, self.load, lambda: float(next(clock)))

    def load(self) -> SchedulerSettings:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


def said(call: Callable[[], object]) -> list[tuple[str, str]]:
    """The lines that a call logs, each with its level."""
    with capturedLogs() as events:
        call()
    return [(event["log_level"].name, event["log_format"].format(**event)) for event in events]


def test_taken() -> None:
    """A part gets the settings in force, in which what needs a restart is as it was; the log names what differs."""
    file = File(NEW)
    file.reload.add(Part(("tls",), file.told.append), Part(("queue",), lambda _: pytest.fail("its keys are the same")))
    lines = said(file.reload.at_signal)
    expected = "tls.certificate, tls.private_key have changed; public_addr needs a restart"
    assert lines == [("info", f"the configuration was read again: {expected}")]
    assert file.told == [attrs.evolve(OLD, tls=TLS)] == [file.reload.settings] == [file.reload.configured]
    assert (file.reload.succeeded, file.reload.failed) == (1, False)
    assert file.reload.reload() == ChangedKeys((), ("public_addr",)), "it is named until then"
    assert len(file.told) == 1


def test_nothing_has_changed() -> None:
    """That is a line, too; a part that reads more than the file is asked all the same."""
    file, done = File(), list[str]()
    file.reload.add(
        Part(("tls",), file.told.append),
        PreparedPart(("tls",), lambda _: lambda: done.append("read"), is_always=True),
        PreparedPart(("queue",), lambda _: lambda: done.append("nothing")),
    )
    assert said(file.reload.at_signal) == [("info", "the configuration was read again: nothing has changed")]
    assert (file.told, done) == ([], ["read"])


def test_wrong() -> None:
    """Of a file that cannot be used nothing is taken, and one line says why; the next good one is taken."""
    file = File(ConfigError("a.conf: limits.connections: expected a number"))
    file.reload.add(Part(("tls",), file.told.append))
    line = ("error", "the configuration stays as it is: a.conf: limits.connections: expected a number")
    assert said(file.reload.at_signal) == [line]
    assert (file.reload.settings, file.reload.succeeded, file.reload.failed, file.told) == (OLD, 0, True, [])
    with pytest.raises(ConfigError):
        file.reload.reload()
    file.now = NEW
    file.reload.at_signal()
    assert (file.reload.settings.tls, file.reload.failed, len(file.told)) == (TLS, False, 1)


def test_part_cannot() -> None:
    """If one part cannot take its keys, no part takes any."""
    file = File(NEW)

    def refuse(_: SchedulerSettings) -> Commit:
        raise ConfigError("tls.certificate: b.pem: No such file or directory")

    file.reload.add(Part(("tls",), file.told.append), PreparedPart(("tls",), refuse))
    [(_, line)] = said(file.reload.at_signal)
    assert line == "the configuration stays as it is: tls.certificate: b.pem: No such file or directory"
    assert (file.reload.settings, file.told, file.reload.failed) == (OLD, [], True)


def test_part_fails() -> None:
    """A part that fails against its promise is logged as what it is, and the others take their keys."""
    file = File(NEW)
    file.reload.add(Part(("tls",), lambda _: 1 // 0), Part(("tls",), file.told.append))  # type: ignore[arg-type]
    with capturedLogs() as events:
        file.reload.at_signal()
    assert [event["log_level"] for event in events] == [LogLevel.critical, LogLevel.info]
    assert len(file.told) == 1


def test_preview() -> None:
    """What would change is told, and nothing changes."""
    file = File(NEW)
    file.reload.add(Part(("tls",), file.told.append))
    assert said(file.reload.preview) == []
    assert str(file.reload.preview()).endswith("public_addr needs a restart")
    assert (file.reload.settings, file.told) == (OLD, [])


def test_fitted() -> None:
    """Limits that this process cannot have are cut when they change, and stay cut while others change."""
    cuts = list[int]()

    def fit(settings: SchedulerSettings) -> SchedulerSettings:
        cuts.append(settings.limits.connections)
        return attrs.evolve(settings, limits=attrs.evolve(settings.limits, connections=5))

    now = OLD
    reload = Reload(OLD, lambda: now, lambda: 0.0, fit)
    assert (reload.settings.limits.connections, reload.configured.limits) == (5, OLD.limits)
    now = attrs.evolve(OLD, tls=TLS)
    reload.reload()
    assert (reload.settings.limits.connections, reload.settings.tls, cuts) == (5, TLS, [32_768])
    assert SchedulerLimits().connections == 32_768
