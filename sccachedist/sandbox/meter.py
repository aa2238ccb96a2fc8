"""Measures what one job takes, in a sandbox worker; what the numbers mean, :class:`~sccachedist.wire.usage.Usage` says.

The modules that run a job tell the meter what happens; it does not know how a job is run.
"""

import resource
import time
from collections.abc import Callable
from typing import Literal

import attrs

from sccachedist.wire.usage import NO_EXIT, Usage

#: The phases of a job in its worker, by the names of their times.
PhaseTime = Literal["sandbox_ns", "unpack_ns", "run_ns", "collect_ns"]

_KILOBYTE = 1024  # the unit of ru_maxrss


@attrs.define
class Meter:
    """Measures one job, from its making on.

    :param clock: returns nanoseconds that only grow.
    """

    _clock: Callable[[], int] = time.monotonic_ns
    prewarmed: bool = False
    input_bytes: int = 0
    output_bytes: int = 0
    exit_code: int = NO_EXIT
    _phase: PhaseTime = attrs.field(default="sandbox_ns", init=False)
    _began: int = attrs.field(init=False)
    _times: dict[str, int] = attrs.field(factory=dict, init=False)
    _user_ns: int = attrs.field(default=0, init=False)
    _system_ns: int = attrs.field(default=0, init=False)
    _peak: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._began = self._clock()

    def begin(self, phase: PhaseTime) -> None:
        """End the phase so far, and begin another one. A job begins in that of ``sandbox_ns``."""
        now = self._clock()
        self._times[self._phase] = self._times.get(self._phase, 0) + now - self._began
        self._phase, self._began = phase, now

    def add(self, process: resource.struct_rusage) -> None:
        """Count a process that has ended, with all descendants that were waited for: what ``wait4`` says of it."""
        self._user_ns += round(process.ru_utime * 1e9)
        self._system_ns += round(process.ru_stime * 1e9)
        self._peak = max(self._peak, process.ru_maxrss * _KILOBYTE)

    def usage(self) -> Usage:
        """What the job has taken so far."""
        self.begin(self._phase)
        return Usage(
            **self._times,
            cpu_user_ns=self._user_ns,
            cpu_system_ns=self._system_ns,
            peak_memory_bytes=self._peak,
            input_bytes=self.input_bytes,
            output_bytes=self.output_bytes,
            prewarmed=self.prewarmed,
            exit_code=self.exit_code,
        )
