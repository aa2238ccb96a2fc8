"""Composes the docker builder; what its workers do is in :mod:`sccachedist.sandbox.docker.job`."""

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sccachedist.builders.disk_room import UNBOUNDED
from sccachedist.builders.selftest.job import probe
from sccachedist.builders.selftest.requirements import DOCKER
from sccachedist.builders.worker_builder import SWEEP_OUTSIDE_SECS, WorkerBuilder
from sccachedist.builders.worker_pool import IWorkerReactor, Program
from sccachedist.builders.worker_protocol import Size
from sccachedist.config import WorkerLimits
from sccachedist.policy import OnFailure

#: The variables of the daemon's environment that the ``docker`` program needs.
ENVIRONMENT = ("PATH", "DOCKER_HOST")


def docker_builder(
    reactor: IWorkerReactor,
    image: str,
    limits: WorkerLimits,
    scratch_bytes: int,
    slots: int,
    environment: Mapping[str, str],
    on_failure: OnFailure = OnFailure.VERIFY,
    room: Size = UNBOUNDED,
) -> WorkerBuilder:
    """A builder that runs compiles in Docker containers.

    :param image: an image with a static busybox; Docker pulls it if needed.
    :param slots: how many jobs may run at a time.
    :param environment: the daemon's own; :data:`ENVIRONMENT` of it is passed on.
    """
    shown = {name: environment[name] for name in ENVIRONMENT if name in environment}
    program = Program("sccachedist.sandbox.docker.worker", (image,), shown, names_runs=True)
    proof = functools.partial(probe, directory=Path(tempfile.gettempdir()), requirements=DOCKER)
    return WorkerBuilder(
        reactor,
        program,
        proof,
        limits,
        scratch_bytes,
        slots,
        room=room,
        on_failure=on_failure,
        sweep_at_stop_secs=SWEEP_OUTSIDE_SECS,
    )
