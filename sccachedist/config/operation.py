"""The tables of the configuration about how a daemon is operated, not about what it does.

This module does not know how a role uses a setting.
"""

import enum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from attrs import field, frozen

from sccachedist.config.schema import Effect, key
from sccachedist.config.values import ADDRESS, BOOL, BYTES, COUNT, IP, NUMBER, PATH, SECONDS, TOKEN, one_of
from sccachedist.wire.addresses import ServerId


class LogFormat(enum.Enum):
    """The form of a log's lines."""

    TEXT = "text"
    JSON = "json"


@frozen
class LogSettings:
    """How a daemon writes its log; ``twistd`` is told where."""

    format: LogFormat = field(
        default=LogFormat.TEXT,
        metadata=key(one_of(LogFormat), "A line of text for each event, or a JSON object on a line of its own."),
    )
    jobs: bool = field(
        default=False,
        metadata=key(
            BOOL,
            "Whether each job that is over has a line, at ``info``, with what became of it and how long each phase "
            "took. A line takes some 0.06 ms of the daemon's time.",
        ),
    )


@frozen
class RecordFileSettings:
    """Where a build server writes what became of its jobs, as far as it knows: our scheduler has more of each."""

    file: Path | None = field(
        default=None,
        metadata=key(
            PATH,
            "A file to which all records are written, a JSON object a line; by default there is none. SIGHUP opens it "
            "again. Each daemon has one of its own.",
        ),
    )
    rotate_bytes: int = field(
        default=100 * 2**20,
        metadata=key(BYTES, "The size at which that file is put aside, packed, as ``FILE.1.gz``."),
    )
    keep_files: int = field(default=10, metadata=key(COUNT, "How many files that were put aside are kept."))


@frozen
class RecordSettings(RecordFileSettings):
    """What a scheduler keeps of each request for a slot that is over."""

    keep: int = field(
        default=20_000,
        metadata=key(NUMBER, "How many of the latest records it has in memory, each about 600 bytes; 0 for none."),
    )
    addresses: bool = field(
        default=True,
        metadata=key(
            BOOL, "Whether records have the IP addresses of clients; else a client has a name until the next restart."
        ),
    )
    names: bool = field(default=True, metadata=key(BOOL, "Whether records have the names of output files."))


@frozen
class ServerNetworkSettings:
    """How a build server reaches the scheduler."""

    source_address: IPv4Address | IPv6Address | None = field(
        default=None,
        metadata=key(
            IP,
            "The address of this host from which calls to the scheduler leave; by default that of ``public_addr``, if "
            "this host has it. ``0.0.0.0`` or ``::`` leaves the choice to the host.",
        ),
    )


@frozen
class MetricsSettings:
    """Where a monitoring system finds the metrics of a daemon."""

    address: ServerId | None = field(
        default=None,
        metadata=key(
            ADDRESS,
            "The address of a plain HTTP port for ``/metrics``, ``/healthz`` and ``/readyz``; by default there is none."
            " Anyone who reaches it may read them, so it belongs on the loopback or on a network for management.",
        ),
    )


@frozen
class SchedulerMetricsSettings(MetricsSettings):
    """Where a monitoring system finds the metrics of the farm."""

    token: str | None = field(
        default=None,
        repr=False,
        metadata=key(
            TOKEN,
            "The bearer token with which ``/metrics``, ``/metrics/servers`` and ``/metrics/targets`` at ``public_addr``"
            " may be read; ``admin.token`` does as well.",
            Effect.AT_ONCE,
        ),
    )


@frozen
class MonitorSettings:
    """Where monitors of Icecream, such as icemon and icecream-sundae, find the farm."""

    address: ServerId | None = field(
        default=None,
        metadata=key(
            ADDRESS,
            "The address of a port for them, by custom 8765; by default there is none. They see hosts and jobs, as far "
            "as ``records.names`` and ``records.addresses`` allow, and change nothing. Anyone who reaches the port may "
            "look, so it belongs on the loopback or on a network for management.",
        ),
    )


@frozen
class ShutdownSettings:
    """How a build server stops."""

    grace_secs: int = field(default=60, metadata=key(SECONDS, "How long it waits for running jobs at SIGTERM."))
