"""One host with many slots: jobs that only sleep, so that two CPUs suffice for as many as there are."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.jobs import Work, copying, sleeping
from bench.meters import Stopwatch
from bench.quantities import Bar, Quantity
from bench.run import Run
from bench.sides import OURS, Side, side
from sccachedist.wire.messages import job_capacity

_BYTES = 100
_SECS = 40.0  # that each slot has work for: the first jobs of all of them come at once, and no other ones


class SleepingJobs:
    """How much of the time the slots of our build server are in use.

    :param cpus: those that it claims.
    :param seconds: how long each job sleeps.
    """

    is_quick = False

    def __init__(self, cpus: int, seconds: float) -> None:
        self._slots, self._cpus, self._seconds = job_capacity(cpus), cpus, seconds
        self.name = f"slots-{self._slots}"
        self.title = f"{self._slots} slots of one build server, jobs that sleep for {seconds:g} s"

    def measure(self, run: Run) -> list[Quantity]:
        """The share of the slots' time in which a job slept; ours alone."""
        work = sleeping(copying(run.folder, _BYTES), self._seconds)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            settings = f"[capacity]\ncpus = {self._cpus}\n"
            with side(OURS, Path(folder), server_settings=settings) as ours:
                ours.client.first_compile(work.archive, work.toolchain, work.request, work.inputs)
                busy = tuple(self._busy(ours, work) for _ in range(run.scaled(3, 1)))
        return [Quantity("share of the slots' time", "", (), busy, Bar(0.9, reached=True, of_ours=True))]

    def _busy(self, ours: Side, work: Work) -> float:
        jobs = self._slots * round(_SECS / self._seconds)
        with ThreadPoolExecutor(self._slots) as clients, Stopwatch(ours.meter) as watch:
            for _ in clients.map(lambda _: ours.client.compile(work.toolchain, work.request, work.inputs), range(jobs)):
                pass
        return jobs * self._seconds / (self._slots * watch.wall)


CAPACITY_CASES = (SleepingJobs(56, 1.0), SleepingJobs(227, 5.0))
