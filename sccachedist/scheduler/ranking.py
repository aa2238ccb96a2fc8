"""Which build server is best for a job, by the operator's rule: the least loaded, or the one that has it done first.

When a job is done is expected from a server's speed and from what it has to do already; both are worth a number of a
server, not of a job, so that servers can be ranked before a job comes. Only whether a toolchain is there depends on the
job.

Pure: the time is an argument. How fast servers are, :mod:`sccachedist.scheduler.speeds` finds out; which of them may
get jobs at all, :mod:`sccachedist.scheduler.fleet` knows.
"""

from sccachedist.job_phases import JobPhase
from sccachedist.policy import PlacementRule
from sccachedist.scheduler.build_server import BuildServer
from sccachedist.scheduler.jobs import Job
from sccachedist.scheduler.speeds import Speeds, Took, took_of

#: A server is slow if its jobs take so many times as long as usual.
SLOW_TIMES = 1.5


class Ranking:
    """The rule, and what it has to know.

    :ivar rule: which may change. Then all servers have to be ranked again.
    """

    def __init__(self) -> None:
        self.rule = PlacementRule.LEAST_LOADED
        self._speeds = Speeds()

    def cost(self, server: BuildServer) -> float | None:
        """The number that is least for the server that suits best; None if it should get no job."""
        if not server.has_room:
            return None
        if self.rule is PlacementRule.LEAST_LOADED:
            return server.load
        slowness = self.slowness(server)
        is_kept = slowness >= SLOW_TIMES and server.taken >= server.cpus
        return None if is_kept else _lateness(server.load, slowness)

    def slowness(self, server: BuildServer) -> float:
        """How many times as long as usual jobs take at a server; 1 by the rule that does not ask for it."""
        return 1.0 if self.rule is PlacementRule.LEAST_LOADED else _slowness(server)

    def best_holder(self, toolchain: str, best: BuildServer, holders: list[BuildServer]) -> BuildServer:
        """The best server for a job with a toolchain.

        :param best: of all servers; it lacks the toolchain.
        :param holders: some that have it, and a CPU to spare.
        """
        if self.rule is PlacementRule.LEAST_LOADED:
            return min(holders, key=lambda server: server.load, default=best)
        holder = min(holders, key=_late, default=best)
        usual = self._speeds.seconds(toolchain)
        if usual is not None and usual * _late(best) + self._speeds.arrival_secs(toolchain) < usual * _late(holder):
            return best
        return holder

    def waited(self, job: Job, now: float) -> None:
        """Learn how long a job had to wait for its toolchain, which is there now."""
        if job.phase is JobPhase.PENDING:
            self._speeds.arrived(job.toolchain, now - job.began[JobPhase.PENDING])

    def ended(self, server: BuildServer, job: Job, summary: bytes, now: float) -> None:
        """Learn from a job that is complete, and still counted among its server's, how fast that is.

        :param summary: what our build server tells of the job; of a published one's, the time since its start is known.
        """
        if self.rule is PlacementRule.LEAST_LOADED or job.client is None:
            return
        # Of all CPUs, not of those that it offers now: what others took of them is no crowd of jobs.
        crowd = max(1.0, (job.beside + server.taken) / 2 / max(1, server.heartbeat.num_cpus))
        if server.report is not None:
            took = took_of(summary, crowd)
        else:
            ran = now - job.began.get(JobPhase.STARTED, now)
            took = Took(ran, 0.0, crowd) if ran > 0 else None
        if took is not None:
            self._speeds.ended(server.server_id, server.speed, job.toolchain, job.client, took, now)


def _lateness(load: float, slowness: float) -> float:
    """When a job that comes now is expected to be done, in times of what it takes on an idle server of usual speed.

    With each job for a CPU, the next one takes as much longer as a job alone: the last CPUs of a host are worth less
    than the first, and those that are shared are shared in equal parts. So servers of one speed have the order of their
    loads.

    :param load: jobs for each CPU; ``slowness``: as far as is known at the server's last sign of life.
    """
    return (1 + load) * slowness


def _slowness(server: BuildServer) -> float:
    return server.speed.slowness(server.seen, is_idle=not server.taken)


def _late(server: BuildServer) -> float:
    return _lateness(server.load, _slowness(server))
