"""What one job took at its build server: a value and its bytes.

A sandbox worker measures it (:mod:`sccachedist.sandbox.meter`); the daemon passes it on.
"""

import attrs

from sccachedist.wire.bincode import numbers

#: The exit code of a command that did not come to an end.
NO_EXIT = 256


@attrs.frozen
class Usage:
    """What one job took. A number is 0 if its kind of sandbox cannot tell it, or if the job did not come that far.

    The four times follow one another; together they are the job's time in its worker, but for sending the answer.

    :param sandbox_ns: nanoseconds until there was a sandbox; next to none if it stood ready.
    :param unpack_ns: nanoseconds in which the inputs were unpacked.
    :param run_ns: nanoseconds in which the command ran.
    :param collect_ns: nanoseconds in which the outputs were read and the answer was written.
    :param cpu_user_ns: CPU time of the command and all that it started. Of a command that was killed, it includes what
        the sandbox took, some milliseconds.
    :param cpu_system_ns: CPU time of the kernel for them.
    :param peak_memory_bytes: the most that one of these processes had in memory at a time. Of a command that was
        killed, it is never less than what the worker itself has, some 20 MB: Linux counts what a process held before
        it executed its program.
    :param input_bytes: the unpacked inputs, in whole blocks of a disk.
    :param output_bytes: all outputs together, before they were compressed.
    :param prewarmed: whether the sandbox stood ready when the job came.
    :param exit_code: of the command, as a shell shows it: 128 plus the signal's number if it was killed;
        :data:`NO_EXIT` if it did not come to an end.
    """

    sandbox_ns: int = 0
    unpack_ns: int = 0
    run_ns: int = 0
    collect_ns: int = 0
    cpu_user_ns: int = 0
    cpu_system_ns: int = 0
    peak_memory_bytes: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    prewarmed: bool = attrs.field(default=False, converter=bool)
    exit_code: int = NO_EXIT


#: What is known of a job whose worker was killed.
NO_USAGE = Usage()
USAGE = numbers(Usage)
