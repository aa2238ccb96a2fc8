"""The keys of ``[limits]``: of every port, of a scheduler, of a build server and its jobs.

Each role has the ones that have an effect in its file. This module does not know how a role uses a limit.
"""

from attrs import field, frozen

from sccachedist.config.schema import Effect, key
from sccachedist.config.values import BYTES, CACHE_BYTES, COUNT, SECONDS

RESTART = Effect.RESTART
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
        default=64,
        metadata=key(
            COUNT,
            "Build servers at one IP address, each at a port of its own. If all show one token, an IPv6 /64 is one "
            "address.",
        ),
    )
    token_checks: int = field(
        default=32,
        metadata=key(
            COUNT,
            "Calls at a time to the service of ``client_auth.url`` about tokens that it never accepted, and as many "
            "about tokens that it did. One sender may cause half of them; beyond that, clients compile locally.",
        ),
    )


@frozen(slots=False)  # else no class could have these and those of a port
class WorkerLimits:
    """The most that a job or a toolchain may bring, use or make where it runs, before it is refused or ended."""

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
class ServerLimits(WorkerLimits, ConnectionLimits):
    """The most that a peer may send to a build server, and a job may use or make, before it is refused or ended."""
