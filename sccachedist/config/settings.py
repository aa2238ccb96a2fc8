"""Every key of the two configuration files, with its default and its purpose.

The keys at the top, the auth tables and ``[builder]`` are those of ``sccache-dist`` 0.16.0; our own keys are in
tables of their own and all have defaults. :mod:`sccachedist.config.limits` has those of ``[limits]``. This module does
not know how a role uses a setting, or whether it can.
"""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from attrs import Factory, field, frozen

from sccachedist.config.clients import ClientsSettings
from sccachedist.config.cluster import ClusterSettings
from sccachedist.config.limits import SchedulerLimits, ServerLimits
from sccachedist.config.operation import (
    LogSettings,
    MetricsSettings,
    MonitorSettings,
    RecordFileSettings,
    RecordSettings,
    SchedulerMetricsSettings,
    ServerNetworkSettings,
    ShutdownSettings,
)
from sccachedist.config.published import (
    BUILDER,
    CLIENT_AUTH,
    SCHEDULER_AUTH,
    SERVER_AUTH,
    BuilderSettings,
    ClientAuthSettings,
    OverlayBuilderSettings,
    RemoteBuilderSettings,
    SchedulerAuthSettings,
    ServerAuthSettings,
)
from sccachedist.config.schema import Effect, ListOf, TableOf, key, table
from sccachedist.config.toolchains import ToolchainsSettings
from sccachedist.config.values import (
    ADDRESS,
    ALGORITHM,
    BOOL,
    BYTES,
    CACHE_BYTES,
    COUNT,
    CPU_WEIGHT,
    CPUS,
    HEARTBEAT_SECONDS,
    LABEL,
    MACHINE,
    NETWORK,
    NETWORK_NAME,
    NICE,
    NUMBER,
    OPTION,
    ORIGIN,
    PATH,
    TEXT,
    WAIT_SECONDS,
    one_of,
)
from sccachedist.config.viewing import AdminSettings, WebSettings
from sccachedist.errors import ConfigError
from sccachedist.policy import OnFailure, PlacementRule
from sccachedist.wire.abilities import MOST_LABELS, MOST_MACHINES
from sccachedist.wire.addresses import ServerId

AT_ONCE, RESTART = Effect.AT_ONCE, Effect.RESTART
GIB = 2**30


@frozen
class RewrittenSettings:
    """A network of senders whose build servers have other addresses: ``[network.servers_from."10.244.0.0/16"]``."""

    addresses: tuple[IPv4Network | IPv6Network, ...] = field(
        metadata=key(
            ListOf(NETWORK, least=1),
            "What a build server that sends from there may have as ``public_addr``, beside the address that it sends "
            "from. With a shared token, each of these senders may be any of these build servers.",
        )
    )


@frozen
class NetworkSettings:
    """What the scheduler trusts of the network in front of it."""

    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = field(
        default=(),
        metadata=key(
            ListOf(NETWORK), "The senders whose ``X-Real-IP`` is trusted; from others it is ignored.", AT_ONCE
        ),
    )
    servers_from: Mapping[str, RewrittenSettings] = field(
        factory=dict,
        metadata=key(
            TableOf(RewrittenSettings, NETWORK_NAME),
            "Networks from which build servers do not send with the address of their ``public_addr``, because it is "
            "rewritten on the way.",
            AT_ONCE,
        ),
    )


@frozen
class TlsSettings:
    """TLS at the scheduler itself, without a proxy in front. SIGHUP reads the files again."""

    certificate: Path = field(
        metadata=key(PATH, "Its certificate, PEM, followed by the intermediate authorities.", AT_ONCE)
    )
    private_key: Path = field(metadata=key(PATH, "The certificate's key, PEM, without a passphrase.", AT_ONCE))


@frozen
class JwtSettings:
    """Which tokens of an identity provider are accepted, with ``client_auth.type = "jwt_validate"``."""

    algorithms: tuple[str, ...] = field(
        default=("RS256",),
        metadata=key(ListOf(ALGORITHM, least=1), "The algorithms that a client's token may be signed with."),
    )
    name_claim: str | None = field(
        default=None,
        metadata=key(TEXT, "The claim of a token that has the client's name, such as ``preferred_username``."),
    )


@frozen
class QueueSettings:
    """What happens to clients when all slots are taken, or no build server is known yet."""

    max_wait_secs: int = field(
        default=60,
        metadata=key(WAIT_SECONDS, "How long a client waits for a slot; then, or at once with 0, it compiles locally."),
    )
    max_waiting: int = field(default=10_000, metadata=key(COUNT, "How many clients may wait at a time."))
    settle_secs: int = field(
        default=10,
        metadata=key(
            WAIT_SECONDS,
            "How long a scheduler that has just begun lets clients wait for a first build server, also with "
            "``max_wait_secs = 0``; then, or at once with 0, they compile locally.",
        ),
    )


@frozen
class HeartbeatSettings:
    """How often a build server reports to a scheduler of sccachedist; a published one gets its report every 30 s."""

    secs: int = field(
        default=5,
        metadata=key(
            HEARTBEAT_SECONDS,
            "Seconds from one heartbeat to the next; a scheduler with thousands asks for more.",
        ),
    )


@frozen
class CapacitySettings:
    """How much of its host a build server offers."""

    cpus: int | None = field(
        default=None,
        metadata=key(
            CPUS, "The CPUs that it offers; by default, all that it may use, within the quotas of its groups."
        ),
    )
    machines: tuple[int, ...] | None = field(
        default=None,
        metadata=key(
            ListOf(MACHINE, least=1, most=MOST_MACHINES),
            'The machines whose programs it runs, such as ``["x86_64", "aarch64"]`` where an emulator runs those '
            "of the second also inside of sandboxes; by default its own, and i686 beside x86_64.",
        ),
    )
    labels: tuple[str, ...] = field(
        default=(),
        metadata=key(
            ListOf(LABEL, most=MOST_LABELS),
            'Words such as ``["fast", "gpu"]``; clients with ``labels`` get build servers that have all of theirs.',
        ),
    )
    idle_only: bool = field(
        default=False,
        metadata=key(
            BOOL,
            "Whether it offers only what other programs of its host leave idle of these CPUs. New jobs stop when they "
            "need more, and those that run get what is left over (:doc:`placement`).",
            RESTART,
        ),
    )
    reserve_memory_bytes: int = field(
        default=0,
        metadata=key(
            NUMBER,
            "Memory of the host that jobs leave free. In any case it takes no job for which there is not enough beside "
            "that.",
        ),
    )
    nice: int = field(
        default=0,
        metadata=key(NICE, "The nice value of jobs: with 19, other programs go first where CPUs are short.", RESTART),
    )
    cpu_weight: int | None = field(
        default=None,
        metadata=key(
            CPU_WEIGHT,
            "The weight of all jobs together where CPUs are short, in a control group of their own beside others in "
            "the daemon's; 100 is usual. By default, there is no such group, or with ``idle_only`` one of the least "
            "weight.",
            RESTART,
        ),
    )


#: Why keys of ``[capacity]`` are refused: of a gateway, and of a builder whose jobs are not the daemon's processes.
_OF_WORKERS = "a gateway offers the CPUs of its workers; set it in their files"
_OF_PROCESSES = "it has no effect with this builder.type; with overlay it has"


def check_capacity(settings: CapacitySettings, builder: BuilderSettings) -> None:
    """Check that all that is set of a capacity has an effect with a builder.

    :raises ConfigError: one key has none; it is named.
    """
    if isinstance(builder, OverlayBuilderSettings):
        return
    of_processes, of_hosts = ("idle_only", "nice", "cpu_weight"), ("cpus", "reserve_memory_bytes")
    is_gateway = isinstance(builder, RemoteBuilderSettings)
    why = _OF_WORKERS if is_gateway else _OF_PROCESSES
    for name in (*of_processes, *of_hosts) if is_gateway else of_processes:
        if getattr(settings, name) != getattr(CapacitySettings(), name):
            raise ConfigError(f"capacity.{name}: {why}")


@frozen
class SandboxSettings:
    """What surrounds a running compile."""

    scratch_bytes: int = field(
        default=8 * GIB,
        metadata=key(
            BYTES, "The size of a job's temporary file system; with docker, how much its container may write."
        ),
    )
    user: str | None = field(
        default=None,
        metadata=key(
            TEXT,
            "The user that a build server becomes as soon as it listens, if root has started it. Outside of their "
            "sandboxes, compiles have that user's uid; without this key, root's.",
        ),
    )


@frozen
class PolicySettings:
    """Which compiles clients run locally, instead or again."""

    on_failure: OnFailure = field(
        default=OnFailure.VERIFY,
        metadata=key(
            one_of(OnFailure),
            "Which failed compiles clients repeat locally: none, those that may be the farm's fault, or all.",
        ),
    )
    local_options: tuple[str, ...] = field(
        default=(),
        metadata=key(
            ListOf(OPTION),
            "Further options that make a compile run locally, e.g. ``-mfoo``, ``-C bar=baz`` or ``-ffoo-*``.",
        ),
    )


@frozen
class SchedulerPolicySettings:
    """Which build servers compiles go to."""

    placement: PlacementRule = field(
        default=PlacementRule.LEAST_LOADED,
        metadata=key(
            one_of(PlacementRule),
            "Which build server with room gets a job: the one with the fewest jobs for each CPU, or the one that is "
            "expected to have it done first, also because it is faster (:doc:`placement`).",
        ),
    )


@frozen
class DockerSettings:
    """The image from which the docker builder makes its own, with ``builder.type = "docker"``."""

    image: str = field(
        default="busybox:stable-musl",
        metadata=key(TEXT, "An image with a statically linked ``busybox``; pulled if it is not there."),
    )


@frozen
class SchedulerSettings:
    """A scheduler's configuration file."""

    public_addr: ServerId = field(metadata=key(ADDRESS, "The address to listen on."))
    client_auth: ClientAuthSettings = field(metadata=key(CLIENT_AUTH, "How clients prove that they may compile here."))
    server_auth: ServerAuthSettings = field(metadata=key(SERVER_AUTH, "How build servers prove that they belong here."))
    network: NetworkSettings = field(factory=NetworkSettings, metadata=table(NetworkSettings))
    tls: TlsSettings | None = field(default=None, metadata=table(TlsSettings))
    jwt: JwtSettings = field(factory=JwtSettings, metadata=table(JwtSettings, AT_ONCE))
    clients: ClientsSettings = field(factory=ClientsSettings, metadata=table(ClientsSettings))
    queue: QueueSettings = field(factory=QueueSettings, metadata=table(QueueSettings, AT_ONCE))
    policy: SchedulerPolicySettings = field(
        factory=SchedulerPolicySettings, metadata=table(SchedulerPolicySettings, AT_ONCE)
    )
    admin: AdminSettings = field(factory=AdminSettings, metadata=table(AdminSettings))
    web: WebSettings = field(factory=WebSettings, metadata=table(WebSettings, AT_ONCE))
    log: LogSettings = field(factory=LogSettings, metadata=table(LogSettings, AT_ONCE))
    records: RecordSettings = field(factory=RecordSettings, metadata=table(RecordSettings, AT_ONCE))
    metrics: SchedulerMetricsSettings = field(
        factory=SchedulerMetricsSettings, metadata=table(SchedulerMetricsSettings)
    )
    monitor: MonitorSettings = field(factory=MonitorSettings, metadata=table(MonitorSettings))
    cluster: ClusterSettings | None = field(default=None, metadata=table(ClusterSettings))
    limits: SchedulerLimits = field(factory=SchedulerLimits, metadata=table(SchedulerLimits, AT_ONCE))


@frozen
class ServerSettings:
    """A build server's configuration file."""

    cache_dir: Path = field(metadata=key(PATH, "The directory for toolchains and for this server's identity."))
    public_addr: ServerId = field(
        metadata=key(ADDRESS, "The address at which clients and the scheduler reach this server.")
    )
    scheduler_url: str = field(metadata=key(ORIGIN, "The scheduler's URL."))
    builder: BuilderSettings = field(metadata=key(BUILDER, "How compiles run."))
    scheduler_auth: SchedulerAuthSettings = field(
        metadata=key(SCHEDULER_AUTH, "How this server proves its identity to the scheduler.", AT_ONCE)
    )
    bind_address: ServerId = field(
        default=Factory(lambda self: self.public_addr, takes_self=True),
        metadata=key(ADDRESS, "The address to listen on, if not ``public_addr``."),
    )
    toolchain_cache_size: int = field(
        default=10 * GIB, metadata=key(CACHE_BYTES, "The most bytes of the kept toolchain archives.")
    )
    toolchains: ToolchainsSettings = field(factory=ToolchainsSettings, metadata=table(ToolchainsSettings))
    network: ServerNetworkSettings = field(factory=ServerNetworkSettings, metadata=table(ServerNetworkSettings))
    heartbeat: HeartbeatSettings = field(factory=HeartbeatSettings, metadata=table(HeartbeatSettings, AT_ONCE))
    capacity: CapacitySettings = field(factory=CapacitySettings, metadata=table(CapacitySettings, AT_ONCE))
    sandbox: SandboxSettings = field(factory=SandboxSettings, metadata=table(SandboxSettings))
    docker: DockerSettings = field(factory=DockerSettings, metadata=table(DockerSettings))
    policy: PolicySettings = field(factory=PolicySettings, metadata=table(PolicySettings, AT_ONCE))
    shutdown: ShutdownSettings = field(factory=ShutdownSettings, metadata=table(ShutdownSettings, AT_ONCE))
    log: LogSettings = field(factory=LogSettings, metadata=table(LogSettings, AT_ONCE))
    metrics: MetricsSettings = field(factory=MetricsSettings, metadata=table(MetricsSettings))
    records: RecordFileSettings = field(factory=RecordFileSettings, metadata=table(RecordFileSettings, AT_ONCE))
    limits: ServerLimits = field(factory=ServerLimits, metadata=table(ServerLimits, AT_ONCE))
