"""Each key of a build server that is said to have its effect at once has it, on the objects of a whole server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from farmkit.memory_reactor import Reactor
from sccachedist.builders.worker_protocol import JobLimits, UnpackLimits
from sccachedist.config import ServerSettings
from sccachedist.config.changes import changes, effects, spread
from sccachedist.config.schema import Effect
from sccachedist.daemon.reload import Reload
from sccachedist.server import self_description as self_description_module
from sccachedist.server import service as service_module
from sccachedist.server.job_log import log_job
from sccachedist.server.portability import LocalOptions
from sccachedist.server.reloaded_parts import ServerParts
from sccachedist.server.self_description import job_slots
from sccachedist.wire.machines import run_by
from sccachedist.wire.messages import job_capacity
from tests.server.test_service import settings
from tests.support.changed_settings import variants

#: What has a key's value while the server runs; limits are asked of all that keep some.
IN_FORCE: dict[str, Callable[[Any], object]] = {
    "scheduler_auth.token": lambda its: its.link.token.rpartition(" ")[2],
    "heartbeat.secs": lambda its: its.heartbeat._seconds,
    "policy.on_failure": lambda its: its.builder._on_failure,
    "shutdown.grace_secs": lambda its: its.service.grace_secs,
    "log.jobs": lambda its: log_job in its.observers.now,
    "records.file": lambda its: its.writer._file._path,
    "records.rotate_bytes": lambda its: its.writer._file._rotate_bytes,
    "records.keep_files": lambda its: its.writer._file._keep_files,
    "limits.buffered_bytes": lambda its: its.runner.memory.total,
    "limits.spool_bytes": lambda its: its.disk.total,
    "limits.toolchains": lambda its: its.toolchains._index.most,
    "limits.toolchain_bytes": lambda its: its.toolchains._limit,
    "limits.job_secs": lambda its: its.builder._job_secs,
}
#: These are tried elsewhere: the form of the log, another kind of token, which depends on the address, what each
#: heartbeat reads, and what only a gateway has.
ELSEWHERE = {"log.format", "scheduler_auth", "capacity.labels", "builder.tokens"}


def at_once() -> list[str]:
    """The keys to try here."""
    found = effects(ServerSettings).items()
    return [key for key, effect in found if effect is Effect.AT_ONCE and key not in ELSEWHERE]


def check_limit(name: str, parts: Any, value: int) -> None:
    """All that keep a limit have the new value."""
    assert {getattr(its.limits, name) for its in (parts.site, parts.routes, parts.runner)} == {value}
    for kept in (parts.builder._job_limits, parts.builder._unpack_limits):
        assert getattr(kept, name, value) == value


@pytest.fixture(name="kept")
def _kept(monkeypatch: pytest.MonkeyPatch) -> list[ServerParts]:
    """The parts of the servers that are made."""
    kept: list[ServerParts] = []

    def keep(*parts: Any) -> ServerParts:
        kept.append(ServerParts(*parts))
        return kept[0]

    monkeypatch.setattr(service_module, "check_address", lambda *_: None)
    monkeypatch.setattr(service_module, "ServerParts", keep)
    return kept


@pytest.mark.parametrize("key", at_once())
def test_at_once(key: str, tmp_path: Path, kept: list[ServerParts]) -> None:
    """The build server uses the new value when the file was read again."""
    old = file = settings(tmp_path)
    reload, reactor = Reload(old, lambda: file, lambda: 0.0), Reactor()
    service_module.server_service(old, reactor, reactor.listen, reload)
    if key.startswith("records."):
        file = attrs.evolve(file, records=attrs.evolve(file.records, file=Path("/nowhere/jobs.jsonl")))
    pairs: dict[str, list[ServerSettings]] = {}
    for name, *pair in variants(file):
        pairs.setdefault(name, []).extend(pair)
    file = next(new for new in reversed(pairs[key]) if key in changes(old, new).at_once)
    reload.reload()
    value: Any = spread(file)[key]
    parts: Any = kept[0]
    if key == "capacity.cpus":
        assert parts.core.slots == job_slots(file) == parts.builder._slots
    elif key == "capacity.reserve_memory_bytes":
        assert parts.spare.spare.memory.reserve == value
    elif key == "capacity.machines":
        assert parts.builder.machines.here == (*value, *run_by(parts.machine))
    elif key == "policy.local_options":
        assert parts.runner.local_options == LocalOptions.of(value)
    elif key in IN_FORCE:
        shown = IN_FORCE[key](parts)
        assert shown == (value.absolute() if key == "records.file" else value)
    else:
        check_limit(key.removeprefix("limits."), parts, value)


def test_quotas_that_change(tmp_path: Path, kept: list[ServerParts], monkeypatch: pytest.MonkeyPatch) -> None:
    """The build server has as many slots as the CPUs that it tells of, and sandboxes for them; never for a number."""
    file, reactor = settings(tmp_path), Reactor()
    service_module.server_service(file, reactor, reactor.listen)
    parts: Any = kept[0]
    for cpus in (7, 2):
        monkeypatch.setattr(self_description_module, "usable_cpus", lambda: cpus)  # noqa: B023
        parts.follow_quotas(file)
        assert parts.core.slots == parts.spare.spare.most == job_slots(file) == job_capacity(cpus)
        assert parts.builder._slots >= job_capacity(cpus)
    configured = attrs.evolve(file, capacity=attrs.evolve(file.capacity, cpus=3))
    parts.follow_quotas(configured)
    monkeypatch.setattr(self_description_module, "usable_cpus", lambda: 9)
    parts.follow_quotas(configured)
    assert parts.core.slots == job_capacity(3)


def test_limits_of_sandboxes() -> None:
    """A limit that sandboxes are made with needs a restart: their workers have it from their start."""
    found, names = (
        effects(ServerSettings),
        {field.name for field in attrs.fields(JobLimits) + attrs.fields(UnpackLimits)},
    )
    restart = {name for name in names if found.get(f"limits.{name}") is Effect.RESTART}
    assert restart == {"job_memory_bytes", "job_processes"}
