"""What a meter makes of what it is told."""

from resource import RUSAGE_SELF, getrusage, struct_rusage

from sccachedist.sandbox.meter import Meter
from sccachedist.wire.usage import Usage


class Time:
    """A clock for a test."""

    now = 1000

    def __call__(self) -> int:
        return self.now


def ended(user: float, system: float, kilobytes: int) -> struct_rusage:
    """What wait4 says of a process."""
    return struct_rusage((user, system, kilobytes, *getrusage(RUSAGE_SELF)[3:]))


def test_phases_follow_one_another() -> None:
    """Each lasts until the next begins, and the last one until now; what did not begin took no time."""
    clock = Time()
    meter = Meter(clock)
    clock.now += 1
    assert meter.usage() == Usage(sandbox_ns=1)
    meter.begin("unpack_ns")
    clock.now += 20
    meter.begin("run_ns")
    clock.now += 300
    assert meter.usage() == Usage(sandbox_ns=1, unpack_ns=20, run_ns=300)
    meter.begin("collect_ns")
    clock.now += 4000
    assert meter.usage() == Usage(sandbox_ns=1, unpack_ns=20, run_ns=300, collect_ns=4000)


def test_processes_add_up() -> None:
    """Their times together; of their memory, the most that one had."""
    meter = Meter(Time())
    for process in (ended(0.25, 0.5, 3), ended(1, 0.125, 2)):
        meter.add(process)
    assert meter.usage() == Usage(cpu_user_ns=1_250_000_000, cpu_system_ns=625_000_000, peak_memory_bytes=3072)


def test_what_it_is_told() -> None:
    """Sizes, and whether the sandbox stood ready."""
    meter = Meter(Time())
    meter.prewarmed, meter.input_bytes, meter.output_bytes = True, 5, 6
    assert meter.usage() == Usage(prewarmed=True, input_bytes=5, output_bytes=6)
