"""The keys of a worker's configuration file. Those that it shares with a build server are declared there.

This module does not know how a worker uses a setting, or whether it can.
"""

from pathlib import Path

from attrs import field, frozen

from sccachedist.config.limits import WorkerLimits
from sccachedist.config.operation import LogSettings, MetricsSettings, ShutdownSettings
from sccachedist.config.published import LOCAL_BUILDER, LocalBuilderSettings
from sccachedist.config.schema import Effect, ListOf, key, table
from sccachedist.config.settings import GIB, CapacitySettings, DockerSettings, SandboxSettings
from sccachedist.config.values import CACHE_BYTES, PATH, SECURE_ORIGIN, TOKEN

AT_ONCE, RESTART = Effect.AT_ONCE, Effect.RESTART


@frozen
class DialledSettings:
    """The gateways that a worker asks for jobs."""

    urls: tuple[str, ...] = field(
        metadata=key(
            ListOf(SECURE_ORIGIN, least=1),
            "Their URLs, such as ``https://10.0.0.7:10501``: the ``public_addr`` of each, or a name for it. A name "
            "with several addresses stands for several gateways.",
            RESTART,
        )
    )
    token: str = field(
        repr=False, metadata=key(TOKEN, "The token that it shows to them, one of their ``builder.tokens``.", AT_ONCE)
    )
    certificate_file: Path | None = field(
        default=None,
        metadata=key(
            PATH,
            "What proves who they are, PEM: their certificates, or that of an authority which has signed them. By "
            "default, the platform's authorities do.",
            RESTART,
        ),
    )


@frozen
class WorkerSettings:
    """A worker's configuration file."""

    cache_dir: Path = field(metadata=key(PATH, "The directory for toolchains, and for the files of running jobs."))
    gateway: DialledSettings = field(metadata=table(DialledSettings))
    builder: LocalBuilderSettings = field(metadata=key(LOCAL_BUILDER, "How compiles run."))
    toolchain_cache_size: int = field(
        default=10 * GIB, metadata=key(CACHE_BYTES, "The most bytes of the kept toolchain archives.")
    )
    capacity: CapacitySettings = field(factory=CapacitySettings, metadata=table(CapacitySettings, AT_ONCE))
    sandbox: SandboxSettings = field(factory=SandboxSettings, metadata=table(SandboxSettings))
    docker: DockerSettings = field(factory=DockerSettings, metadata=table(DockerSettings))
    shutdown: ShutdownSettings = field(factory=ShutdownSettings, metadata=table(ShutdownSettings, AT_ONCE))
    log: LogSettings = field(factory=LogSettings, metadata=table(LogSettings, AT_ONCE))
    metrics: MetricsSettings = field(factory=MetricsSettings, metadata=table(MetricsSettings))
    limits: WorkerLimits = field(factory=WorkerLimits, metadata=table(WorkerLimits, AT_ONCE))
