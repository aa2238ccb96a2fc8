"""Every key of the two configuration files, with its default and its purpose.

The keys at the top, the auth tables and ``[builder]`` are those of ``sccache-dist`` 0.16.0; our own keys are in
tables of their own and all have defaults. This module does not know how a role uses a setting, or whether it can.
"""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from attrs import Factory, field, frozen

from sccachedist.config.clients import ClientsSettings
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
    SchedulerAuthSettings,
    ServerAuthSettings,
)
from sccachedist.config.schema import Effect, ListOf, key, table
from sccachedist.config.values import (
    ADDRESS,
    ALGORITHM,
    BYTES,
    CACHE_BYTES,
    COUNT,
    CPUS,
    HEARTBEAT_SECONDS,
    NETWORK,
    OPTION,
    ORIGIN,
    PATH,
    SECONDS,
    TEXT,
    WAIT_SECONDS,
    one_of,
)
from sccachedist.config.viewing import AdminSettings, WebSettings
from sccachedist.policy import OnFailure
from sccachedist.wire.addresses import ServerId

AT_ONCE, RESTART = Effect.AT_ONCE, Effect.RESTART
KIB, MIB, GIB = 2**10, 2**20, 2**30


@frozen
class ConnectionLimits:
    """The most that a peer of either role may send or take before it is refused."""

    connections: int = field(
        default=32_768,
        metadata=key(COUNT, "Connections at a time; fewer if the process cannot have so many descriptors."),
    )
    connections_per_address: int = field(
        default=4096,
        metadata=key(
            COUNT,
            "Connections at a time from one IPv4 address or IPv6 /64; ``network.trusted_proxies`` may have more. When "
            "there is no room, the connection that has shown no good token for the longest time is closed.",
        ),
    )
    handshake_secs: int = field(default=20, metadata=key(COUNT, "How many seconds a peer may take to begin TLS."))
    idle_secs: int = field(
        default=60,
        metadata=key(COUNT, "How many seconds a peer may be silent, between its requests or within one."),
    )
    min_bytes_per_sec: int = field(
        default=1000,
        metadata=key(CACHE_BYTES, "How fast a peer has to send its request, and then to take its answer."),
    )
    min_rate_after_secs: int = field(
        default=30, metadata=key(SECONDS, "How many seconds a peer may be behind the pace of ``min_bytes_per_sec``.")
    )
    transfer_secs: int = field(
        default=1200,
        metadata=key(COUNT, "How many seconds a peer may take to send a request, and as many to take its answer."),
    )
    header_bytes: int = field(
        default=16 * KIB, metadata=key(BYTES, "The head of a request: its first line and headers.")
    )
    headers: int = field(default=100, metadata=key(COUNT, "Headers of a request."))
    framing_bytes: int = field(
        default=16 * KIB,
        metadata=key(BYTES, "The bytes between the chunks of a body, beyond an eighth of what the chunks carry."),
    )
    message_bytes: int = field(default=64 * KIB, metadata=key(BYTES, "A small request body."))
    heartbeat_bytes: int = field(default=MIB, metadata=key(BYTES, "A heartbeat, certificate included."))
    buffered_bytes: int = field(
        default=256 * MIB,
        metadata=key(BYTES, "All peers' request bodies in memory at a time, commands of running jobs included."),
    )


@frozen
class SchedulerLimits(ConnectionLimits):
    """The most that a peer may ask of a scheduler before it is refused."""

    unclaimed_jobs: int = field(
        default=1000,
        metadata=key(
            COUNT,
            "Jobs that are allocated to one client, known by its token and its address, and have not begun. "
            "Fewer of them hold a slot in the meantime: no more than are left for other clients.",
        ),
    )
    servers_per_address: int = field(
        default=64, metadata=key(COUNT, "Build servers at one IP address, each at a port of its own.")
    )
    token_checks: int = field(
        default=32,
        metadata=key(
            COUNT,
            "Calls at a time to the service of ``client_auth.url`` about tokens that it never accepted, and as many "
            "about tokens that it did. One sender may cause half of them; beyond that, clients compile locally.",
        ),
    )


@frozen
class ServerLimits(ConnectionLimits):
    """The most that a peer may send to a build server, and a job may use or make, before it is refused or ended."""

    spool_bytes: int = field(
        default=64 * GIB,
        metadata=key(
            BYTES,
            "All requests' data on the disk at a time: toolchains that arrive, inputs, and answers until they are"
            " fetched.",
        ),
    )
    command_bytes: int = field(default=4 * MIB, metadata=key(BYTES, "The command of a job, without its inputs."))
    toolchains: int = field(
        default=32_768,
        metadata=key(COUNT, "Toolchains that a build server keeps; the least recently used ones are removed first."),
    )
    toolchain_bytes: int = field(default=8 * GIB, metadata=key(BYTES, "A toolchain archive as sent."))
    toolchain_unpacked_bytes: int = field(default=32 * GIB, metadata=key(BYTES, "A toolchain unpacked."))
    toolchain_entries: int = field(
        default=1_000_000,
        metadata=key(
            COUNT, "Files, directories and links of a toolchain, with the directories that it needs but does not name."
        ),
    )
    toolchains_unpacked_bytes: int | None = field(
        default=None,
        metadata=key(
            BYTES,
            "All unpacked toolchains together; the least recently used ones are removed first. By default, six times "
            "``toolchain_cache_size``, but at most half of the disk.",
            RESTART,
        ),
    )
    toolchains_unpacked_inodes: int | None = field(
        default=None,
        metadata=key(
            COUNT,
            "Files and directories of all unpacked toolchains together. By default, 4,000,000, but at most half of "
            "what the disk has.",
            RESTART,
        ),
    )
    compression_ratio: int = field(
        default=200,
        metadata=key(
            COUNT,
            "How many bytes an archive may unpack to for each of its bytes, at any point, once that is over 64 MiB.",
        ),
    )
    path_bytes: int = field(
        default=4095, metadata=key(BYTES, "One path: in an archive, as a link's target, or in a job's command.")
    )
    path_depth: int = field(
        default=256, metadata=key(COUNT, "How many directories deep an entry of a toolchain or of inputs may lie.")
    )
    inputs_bytes: int = field(default=2 * GIB, metadata=key(BYTES, "The inputs of a job as sent."))
    inputs_unpacked_bytes: int = field(default=4 * GIB, metadata=key(BYTES, "The inputs of a job unpacked."))
    inputs_entries: int = field(
        default=200_000,
        metadata=key(
            COUNT,
            "Files, directories and links of a job's inputs, with the directories that they and its outputs need.",
        ),
    )
    arguments: int = field(default=65_536, metadata=key(COUNT, "Arguments of a job's command."))
    arguments_bytes: int = field(default=2 * MIB, metadata=key(BYTES, "All arguments of a job's command together."))
    variables: int = field(default=65_536, metadata=key(COUNT, "Environment variables of a job's command."))
    variables_bytes: int = field(
        default=2 * MIB, metadata=key(BYTES, "All environment variables of a job's command together, names and values.")
    )
    outputs: int = field(default=1024, metadata=key(COUNT, "Output files that a job may name."))
    output_bytes: int = field(default=2 * GIB, metadata=key(BYTES, "One output file."))
    outputs_bytes: int = field(default=4 * GIB, metadata=key(BYTES, "All output files of a job together."))
    stdio_bytes: int = field(
        default=64 * MIB, metadata=key(BYTES, "What a compile writes to stdout, and as much to stderr.")
    )
    job_memory_bytes: int = field(
        default=4 * GIB,
        metadata=key(BYTES, "The memory of a compile, including what it writes to its temporary file system.", RESTART),
    )
    job_processes: int = field(
        default=1024, metadata=key(COUNT, "Processes and threads of a compile at one time.", RESTART)
    )
    job_secs: int = field(default=540, metadata=key(COUNT, "How many seconds a compile may run."))


@frozen
class NetworkSettings:
    """What the scheduler trusts of the network in front of it."""

    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = field(
        default=(),
        metadata=key(
            ListOf(NETWORK), "The senders whose ``X-Real-IP`` is trusted; from others it is ignored.", AT_ONCE
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
    admin: AdminSettings = field(factory=AdminSettings, metadata=table(AdminSettings))
    web: WebSettings = field(factory=WebSettings, metadata=table(WebSettings, AT_ONCE))
    log: LogSettings = field(factory=LogSettings, metadata=table(LogSettings, AT_ONCE))
    records: RecordSettings = field(factory=RecordSettings, metadata=table(RecordSettings, AT_ONCE))
    metrics: SchedulerMetricsSettings = field(
        factory=SchedulerMetricsSettings, metadata=table(SchedulerMetricsSettings)
    )
    monitor: MonitorSettings = field(factory=MonitorSettings, metadata=table(MonitorSettings))
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
