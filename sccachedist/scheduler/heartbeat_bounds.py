"""The bounds of what a build server may say of itself in a heartbeat. Pure."""

from sccachedist.errors import DecodeError
from sccachedist.wire.extension import ServerReport
from sccachedist.wire.messages import Heartbeat

#: The most CPUs that a build server may claim. The wire would take more, but then could not carry a farm's sum.
MOST_CPUS = 1 << 16
#: The most bytes of the key for a build server's job tokens. The published one has 32.
MOST_KEY_BYTES = 1024
#: The most characters of why a build server says that it is unfit.
MOST_REASON = 1000
#: The most characters of its version.
MOST_VERSION = 64
#: The most seconds between two heartbeats that our build server may announce.
MOST_HEARTBEAT_SECS = 3600


def check_heartbeat(heartbeat: Heartbeat, report: ServerReport | None) -> None:
    """Return if all numbers are within bounds.

    :raises DecodeError: one is not.
    """
    if not 1 <= heartbeat.num_cpus <= MOST_CPUS:
        raise DecodeError(f"a build server has 1 to {MOST_CPUS} CPUs, not {heartbeat.num_cpus}")
    if len(heartbeat.jwt_key) > MOST_KEY_BYTES:
        raise DecodeError(f"jwt_key has more than {MOST_KEY_BYTES} bytes")
    if report is not None and not 1 <= report.heartbeat_secs <= MOST_HEARTBEAT_SECS:
        raise DecodeError(f"heartbeats come every 1 to {MOST_HEARTBEAT_SECS} seconds")
    if report is not None and report.health is not None and len(report.health.unfit) > MOST_REASON:
        raise DecodeError(f"unfit has more than {MOST_REASON} characters")
    if report is not None and len(report.version) > MOST_VERSION:
        raise DecodeError(f"version has more than {MOST_VERSION} characters")
