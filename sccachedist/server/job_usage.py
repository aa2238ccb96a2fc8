"""Takes note of what jobs took: one place hears of each job that was given to the builder, however it ended."""

from sccachedist.daemon.logs import Logger
from sccachedist.wire.messages import JobId
from sccachedist.wire.usage import Usage

log = Logger()


def note_usage(job_id: JobId, client: str, seconds: float, usage: Usage) -> None:
    """Log what a job took, at ``debug``.

    :param seconds: from its coming to the builder to its end, so with the wait for its turn and for its toolchain.
    :param usage: :data:`~sccachedist.wire.usage.NO_USAGE` if it was killed from here, or its worker died.
    """
    log.debug(
        "job {job_id} of {client} took {seconds:.3f} s: {run:.3f} s to compile, {cpu:.3f} s of CPU, {memory} MiB, "
        "sandbox {sandbox}",
        job_id=job_id,
        client=client,
        seconds=seconds,
        run=usage.run_ns / 1e9,
        cpu=(usage.cpu_user_ns + usage.cpu_system_ns) / 1e9,
        memory=usage.peak_memory_bytes >> 20,
        sandbox="stood ready" if usage.prewarmed else "made for it",
    )
