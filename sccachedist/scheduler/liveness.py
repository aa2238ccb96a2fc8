"""How long a build server is believed while it is silent. Pure.

When silent ones are dropped, :mod:`sccachedist.scheduler.core` decides (``expire``); how often heartbeats come, the
build server does (:mod:`sccachedist.server.heartbeat`).
"""

from sccachedist.wire.extension import ServerReport

#: A silent server is dropped with its jobs: a published one after these seconds, ours after so many missed heartbeats.
SERVER_SECS, MISSED_HEARTBEATS = 90.0, 6
#: Seconds by which our server's heartbeat may be late before the server is asked whether it takes a job.
LATE_SECS = 2.0


def patience_secs(report: ServerReport | None) -> float:
    """For how many seconds a build server may be silent.

    :param report: what it adds to its heartbeats; None if it is a published server.
    """
    return SERVER_SECS if report is None else MISSED_HEARTBEATS * report.heartbeat_secs
