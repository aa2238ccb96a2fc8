"""Which parts of a running build server take which keys of the configuration, when it is read again.

A key that has its effect at once has a part here, or its part reads the settings in force with each heartbeat.
"""

from collections.abc import Iterator
from functools import partial

import attrs

from sccachedist.budgets import Budget
from sccachedist.builders.worker_builder import WorkerBuilder
from sccachedist.config import RemoteBuilderSettings, ServerSettings
from sccachedist.daemon.reload import Commit, Part, PreparedPart
from sccachedist.gateway.remote_builder import RemoteBuilder
from sccachedist.records.line_writer import LineWriter
from sccachedist.server.heartbeat import HeartbeatService
from sccachedist.server.job_courses import JobObserver
from sccachedist.server.job_log import log_job
from sccachedist.server.job_runner import JobRunner
from sccachedist.server.jobs import ServerCore
from sccachedist.server.lifecycle import ServerService
from sccachedist.server.portability import LocalOptions
from sccachedist.server.routes import ServerRoutes
from sccachedist.server.scheduler_session import HttpSchedulerSession
from sccachedist.server.self_description import job_slots, machines_run, server_token
from sccachedist.server.spare_capacity import SpareCapacity, check_reserve, follow_quotas
from sccachedist.toolchains.cache import Toolchains
from sccachedist.web.request import Site


@attrs.frozen
class JobObservers:
    """Those that are told of each job that ends.

    :param record: writes its record.
    :param always: are told in any case.
    :ivar now: all that are.
    """

    _record: JobObserver
    _always: tuple[JobObserver, ...]
    now: list[JobObserver] = attrs.field(factory=list, init=False)

    def choose(self, settings: ServerSettings) -> None:
        """Have those told from now on for which the settings ask."""
        self.now[:] = [log_job] * settings.log.jobs
        self.now.extend(self._always)
        self.now.extend([self._record] * (settings.records.file is not None))


@attrs.frozen
class ServerParts:
    """What of a build server takes other settings while it runs.

    :param builder: a gateway's takes other tokens and no other number of CPUs, which is that of its workers.
    :param disk: the budget for all that is on the disk for a while.
    :param machine: of the host.
    :param spare: looks at what the host can spare; a gateway has none.
    """

    service: ServerService
    site: Site
    routes: ServerRoutes
    runner: JobRunner
    core: ServerCore
    builder: WorkerBuilder | RemoteBuilder
    toolchains: Toolchains
    disk: Budget
    heartbeat: HeartbeatService
    link: HttpSchedulerSession
    observers: JobObservers
    writer: LineWriter
    machine: int
    spare: SpareCapacity | None = None

    def parts(self) -> Iterator[Part[ServerSettings] | PreparedPart[ServerSettings]]:
        """All of them, with their keys."""
        yield PreparedPart(("scheduler_auth",), self._token)
        yield Part(("limits",), self._take_limits)
        yield Part(("limits", "policy"), self._take_policy)
        yield Part(("builder.tokens",), self._take_tokens)
        yield PreparedPart(("capacity",), self._capacity)
        yield Part(("heartbeat",), lambda settings: self.heartbeat.beat_every(settings.heartbeat.secs))
        yield Part(("records",), lambda settings: self.writer.use(settings.records))
        yield Part(("records", "log.jobs"), self.observers.choose)
        yield Part(("shutdown",), self._take_grace)

    def _token(self, settings: ServerSettings) -> Commit:
        return partial(self._show, server_token(settings))

    def _show(self, token: str) -> None:
        self.link.token = token
        self.heartbeat.soon()

    def _take_limits(self, settings: ServerSettings) -> None:
        limits = settings.limits
        self.site.take_limits(limits)
        self.routes.limits = self.runner.limits = limits
        self.runner.memory.total, self.disk.total = limits.buffered_bytes, limits.spool_bytes
        self.toolchains.take_limits(limits.toolchains, limits.toolchain_bytes)

    def _take_policy(self, settings: ServerSettings) -> None:
        self.runner.local_options = LocalOptions.of(settings.policy.local_options)
        self.builder.take_policy(settings.limits, settings.policy.on_failure)

    def _take_tokens(self, settings: ServerSettings) -> None:
        if isinstance(self.builder, RemoteBuilder) and isinstance(settings.builder, RemoteBuilderSettings):
            self.builder.take_tokens(settings.builder.tokens)

    def _capacity(self, settings: ServerSettings) -> Commit:
        if self.spare is not None:
            check_reserve(settings)
        return partial(self._take_capacity, settings)

    def _take_capacity(self, settings: ServerSettings) -> None:
        if not isinstance(self.builder, RemoteBuilder):
            self.core.slots = job_slots(settings)
            self.builder.allow(self.core.slots)
            if self.spare is not None:
                self.spare.take(settings)
            self.run_machines(settings)
        self.heartbeat.soon()

    def follow_quotas(self, settings: ServerSettings) -> None:
        """See :func:`~sccachedist.server.spare_capacity.follow_quotas`."""
        follow_quotas(self.core.slots, settings, self._take_capacity)

    def run_machines(self, settings: ServerSettings) -> None:
        """Let toolchains of the machines run that the settings name."""
        self.builder.machines.here = machines_run(settings, self.machine)

    def _take_grace(self, settings: ServerSettings) -> None:
        self.service.grace_secs = settings.shutdown.grace_secs
