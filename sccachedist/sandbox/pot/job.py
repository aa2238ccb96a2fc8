"""Runs one compile from its inputs to its answer, in a clone of its toolchain's pot, in a sandbox worker: synchronous.

A clone serves one job after the other, and is reverted to its snapshot between two jobs. How ``pot`` is called is not
known here: :mod:`sccachedist.sandbox.pot.pots` does it.
"""

from pathlib import Path

from sccachedist.builders.worker_protocol import RunJob
from sccachedist.errors import BuildError
from sccachedist.sandbox.command import check_executed
from sccachedist.sandbox.job_root import outputs_below, place_inputs, root_at
from sccachedist.sandbox.meter import Meter
from sccachedist.sandbox.pot.pots import Pots
from sccachedist.sandbox.processes import Ended
from sccachedist.sandbox.result.outcome import reported
from sccachedist.sandbox.result.result_writer import write_result


def run_job(job: RunJob, pots: Pots, meter: Meter) -> None:
    """Run the compile, write its answer, and make its pot ready for the next job.

    What its processes take is not measured; the time in which the pot is made ready belongs to that of collecting.

    :raises BuildError: there is no result that may be shown to a user.
    :raises DecodeError: the inputs are damaged, or a path leads out of the root.
    :raises LimitExceeded: the job is too large.
    """
    meter.prewarmed = pots.files(job.sandbox).exists()
    if not meter.prewarmed:
        _make_ready(job, pots)
    meter.begin("unpack_ns")
    with root_at(pots.files(job.sandbox)) as root:
        meter.input_bytes = place_inputs(job, root).bytes
    meter.begin("run_ns")
    ended = pots.run(job.sandbox, job.command, job.limits.stdio_bytes)
    meter.begin("collect_ns")
    meter.exit_code = ended.exit_code
    pots.stop(job.sandbox)  # no process changes the outputs while they are read
    meter.output_bytes = _write_result(job, pots, ended)
    _clean(job.sandbox, pots)


def _make_ready(job: RunJob, pots: Pots) -> None:
    pots.clone(job.sandbox, pots.image(job.toolchain))
    pots.snapshot(job.sandbox)
    pots.start(job.sandbox)


def _write_result(job: RunJob, pots: Pots, ended: Ended) -> int:
    """Returns how many bytes the outputs have together."""
    check_executed(job.command, ended.exit_code, ended.stderr)
    output = reported(job.command, job.on_failure, ended)
    with root_at(pots.files(job.sandbox)) as root:
        return write_result(Path(job.answer), output, outputs_below(job, root, ended.exit_code), as_json=job.as_json)


def _clean(sandbox: str, pots: Pots) -> None:
    """Revert a pot, or destroy it if that fails: then the next job makes a new one."""
    try:
        pots.revert(sandbox)
        pots.start(sandbox)
    except BuildError:
        pots.destroy(sandbox)
