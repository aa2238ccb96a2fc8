"""One host with many slots: jobs that only sleep, so that two CPUs suffice for all of them."""

import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.jobs import Work, copying, sleeping
from bench.quantities import Bar, Quantity
from bench.run import Run
from bench.sides import OURS, Side, side
from sccachedist.wire.messages import job_capacity

_BYTES = 100
_SECS = 40.0
_WARMING = 2  # in lengths of a job
_SPREAD = 0.25  # of a job's length: jobs of equal length would in time all end at the same moment


class SleepingJobs:
    """How much of the time the slots of our build server are in use.

    :param cpus: the CPUs that it claims.
    :param seconds: how long a job sleeps on average.
    """

    is_quick = False

    def __init__(self, cpus: int, seconds: float) -> None:
        self._slots, self._cpus, self._seconds = job_capacity(cpus), cpus, seconds
        self.name = f"slots-{self._slots}"
        self.title = f"{self._slots} slots of one build server, jobs that sleep for about {seconds:g} s"

    def measure(self, run: Run) -> list[Quantity]:
        """The share of the slots' time in which a job slept; ours alone."""
        work = copying(run.folder, _BYTES)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            settings = f"[capacity]\ncpus = {self._cpus}\n"
            with side(OURS, Path(folder), server_settings=settings) as ours:
                ours.client.first_compile(work.archive, work.toolchain, work.request, work.inputs)
                self._busy(ours, work)  # starts the sandbox workers
                busy = tuple(self._busy(ours, work) for _ in range(run.scaled(3, 1)))
        return [Quantity("share of the slots' time", "", (), busy, Bar(0.9, reached=True, of_ours=True))]

    def _busy(self, ours: Side, work: Work) -> float:
        """Keep all slots in use; their first jobs start one after the other."""
        counted = time.monotonic() + _WARMING * self._seconds
        over = counted + _SECS

        def slot(number: int) -> float:
            """How many seconds the jobs slept that have ended in the time that counts."""
            lengths, slept = random.Random(number), 0.0  # noqa: S311
            time.sleep(number * self._seconds / self._slots)
            while time.monotonic() < over:
                seconds = self._seconds * lengths.uniform(1 - _SPREAD, 1 + _SPREAD)
                ours.client.compile(work.toolchain, sleeping(work, seconds).request, work.inputs)
                if counted <= time.monotonic() < over:
                    slept += seconds
            return slept

        with ThreadPoolExecutor(self._slots) as clients:
            return sum(clients.map(slot, range(self._slots))) / (self._slots * _SECS)


CAPACITY_CASES = (SleepingJobs(56, 1.0), SleepingJobs(227, 5.0))
