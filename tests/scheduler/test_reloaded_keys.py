"""Each key of a scheduler that is said to have its effect at once has it, on the objects of a whole scheduler."""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.logger import LogLevel, capturedLogs, formatEvent

from farmkit.memory_reactor import Reactor
from sccachedist.config import NetworkSettings, RewrittenSettings, SchedulerSettings, TokenAuth
from sccachedist.config.changes import changes, effects, spread
from sccachedist.config.clients import ClientSettings, TokenSettings
from sccachedist.config.schema import Effect
from sccachedist.daemon.reload import Reload
from sccachedist.scheduler import service as service_module
from sccachedist.scheduler.reloaded_parts import SchedulerParts
from sccachedist.wire.addresses import ServerId
from tests.support.changed_settings import variants

SETTINGS = SchedulerSettings(ServerId.parse("127.0.0.1:10600"), TokenAuth("clienttok"), TokenAuth("servertok"))
#: What has a key's value while the scheduler runs; the limits of connections are asked of the port.
IN_FORCE: dict[str, Callable[[Any], object]] = {
    "queue.max_wait_secs": lambda its: its.terms.current._allocation._waiting.max_wait_secs,
    "queue.settle_secs": lambda its: its.terms.current._allocation._waiting.settle_secs,
    "queue.max_waiting": lambda its: its.terms.current._queue._places.total - 1,
    "policy.placement": lambda its: its.terms.current._core.placement.rule,
    "network.trusted_proxies": lambda its: {its.routes.proxies, its.browsers.proxies, its.site.connections.exempt},
    "limits.unclaimed_jobs": lambda its: its.terms.current._core.most_unclaimed,
    "limits.servers_per_address": lambda its: its.terms.current._core.most_per_address,
    "limits.message_bytes": lambda its: its.routes._limits.message_bytes,
    "limits.heartbeat_bytes": lambda its: its.routes._limits.heartbeat_bytes,
    "limits.buffered_bytes": lambda its: its.routes._memory.total,
    "web.title": lambda its: its.sign_in.web.title,
    "web.plain_http": lambda its: its.sign_in.web.plain_http,
    "web.view": lambda its: its.readers.web.view,
    "web.names": lambda its: {its.readers.web.names, its.fed.names},
    "web.user_header": lambda its: its.browsers.user_header,
    "web.viewers": lambda its: its.watching.places,
    "metrics.token": lambda its: its.scraped.token,
    "log.jobs": lambda its: len(its.takers.now) == 2,
    "records.file": lambda its: its.writer._file._path,
    "records.rotate_bytes": lambda its: its.writer._file._rotate_bytes,
    "records.keep_files": lambda its: its.writer._file._keep_files,
    "records.keep": lambda its: its.records._ring._keep,
    "records.addresses": lambda its: its.records.settings.addresses,
    "records.names": lambda its: its.records.settings.names,
}
#: These are tried where they are at home, or below: the log, the certificate, clients with names, secrets.
ELSEWHERE = {
    "jwt.algorithms",
    "jwt.name_claim",
    "limits.token_checks",
    "network.servers_from",
    "log.format",
    "tls.certificate",
    "tls.private_key",
}
TABLES_ELSEWHERE = ("admin.", "jwt.", "clients.", "client_auth", "server_auth", "web.viewer_token")


@attrs.define
class Running:
    """A scheduler, and the file that it reads again."""

    first: SchedulerSettings = SETTINGS
    file: SchedulerSettings = SETTINGS
    parts: Any = None
    reload: Reload[SchedulerSettings] = attrs.field(init=False)

    def start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(service_module, "check_address", lambda *_: None)
        monkeypatch.setattr(service_module, "SchedulerParts", self.kept)
        self.reload = Reload(self.first, lambda: self.file, lambda: 0.0)
        reactor = Reactor()
        service_module.scheduler_service(self.first, reactor, reactor.listen, self.reload)

    def kept(self, **parts: Any) -> SchedulerParts:
        self.parts = made = SchedulerParts(**parts)
        return made


def at_once() -> list[str]:
    """The keys to try here."""
    found = [key for key, effect in effects(SchedulerSettings).items() if effect is Effect.AT_ONCE]
    return [key for key in found if key not in ELSEWHERE and not key.startswith(TABLES_ELSEWHERE)]


def in_force(key: str, parts: Any) -> object:
    """The value that a scheduler uses."""
    if key in IN_FORCE:
        found = IN_FORCE[key](parts)
        return next(iter(found)) if isinstance(found, set) and len(found) == 1 else found
    assert key.startswith("limits."), f"{key}: nothing here shows its effect"
    assert parts.site.limits is parts.site.connections.limits
    return getattr(parts.site.limits, key.removeprefix("limits."))


@pytest.mark.parametrize("key", at_once())
def test_at_once(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler uses the new value when the file was read again."""
    running = Running()
    running.start(monkeypatch)
    if key.startswith("records.") and key != "records.file":
        running.file = attrs.evolve(SETTINGS, records=attrs.evolve(SETTINGS.records, file=Path("/nowhere/jobs.jsonl")))
    pairs = {name: pair for name, *pair in variants(running.file)}
    running.file = next(new for new in reversed(pairs[key]) if key in changes(SETTINGS, new).at_once)
    running.reload.reload()
    value = spread(running.file)[key]
    shown = in_force(key, running.parts)
    assert str(shown).endswith(str(value)) if key == "records.file" else shown == value, key


def test_the_port_of_browsers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A farm with one of its own has the same limits and the same proxies there as at the other."""
    running = Running(attrs.evolve(SETTINGS, web=attrs.evolve(SETTINGS.web, address=ServerId.parse("127.0.0.1:1"))))
    running.start(monkeypatch)
    trusted = (ip_network("10.0.0.0/8"),)
    limits = attrs.evolve(SETTINGS.limits, connections_per_address=7)
    running.file = attrs.evolve(running.first, network=NetworkSettings(trusted), limits=limits)
    running.reload.reload()
    for site in (running.parts.site, running.parts.pages):
        assert (tuple(site.connections.exempt), site.limits.connections_per_address) == (trusted, 7)


def test_networks_that_rewrite_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build server is let in, or is not any more, from the next request on; the doctor hears the same."""
    running = Running()
    running.start(monkeypatch)
    sender, server_id = ip_address("10.244.7.7"), ServerId.parse("192.168.1.2:10501")
    named = {"10.244.0.0/16": RewrittenSettings((ip_network("192.168.1.0/24"),))}
    for servers_from in (named, {}):
        running.file = attrs.evolve(SETTINGS, network=NetworkSettings(servers_from=servers_from))
        running.reload.reload()
        assert running.parts.routes.rewritten.may_be(sender, server_id) == bool(servers_from)


def test_clients_that_lose_their_last_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was emptied by mistake fails builds: the log says whose, and bounds the line."""
    token = TokenSettings("0" * 64)
    named = {
        f"client-{number:02}": ClientSettings(tokens=(attrs.evolve(token, sha256=f"{number:064}"),))
        for number in range(12)
    }
    running = Running()
    running.start(monkeypatch)
    with capturedLogs() as lines:
        for clients in (named, {**named, "client-03": ClientSettings()}, {}):
            running.file = attrs.evolve(SETTINGS, clients=attrs.evolve(SETTINGS.clients, named=clients))
            running.reload.reload()
    said = [formatEvent(line) for line in lines if line["log_level"] is LogLevel.warn]
    names = ", ".join(sorted(named.keys() - {"client-03"})[:10])
    form = "clients.file: no token is left of {}, whose builds fail with a 401 now"
    assert said == [form.format("client-03"), form.format(f"{names} and 1 more")]
