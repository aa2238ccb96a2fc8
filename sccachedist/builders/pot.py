"""Composes the pot builder; what its workers do is in :mod:`sccachedist.sandbox.pot.job`."""

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sccachedist.builders.disk_room import UNBOUNDED
from sccachedist.builders.selftest.job import probe
from sccachedist.builders.worker_builder import SWEEP_OUTSIDE_SECS, WorkerBuilder
from sccachedist.builders.worker_pool import IWorkerReactor, Program
from sccachedist.builders.worker_protocol import Size
from sccachedist.config import PotBuilderSettings, WorkerLimits
from sccachedist.policy import OnFailure
from sccachedist.wire.messages import CompileCommand

# The pot that others are cloned from holds a whole system, so the trial job runs a shell of it.
_OF_THE_SYSTEM = CompileCommand("/bin/sh", ("-c", "test -c /dev/null && cp proof seen"), (), "/work")


def pot_builder(
    reactor: IWorkerReactor,
    settings: PotBuilderSettings,
    limits: WorkerLimits,
    scratch_bytes: int,
    slots: int,
    environment: Mapping[str, str],
    on_failure: OnFailure = OnFailure.VERIFY,
    room: Size = UNBOUNDED,
) -> WorkerBuilder:
    """A builder that runs compiles in pots.

    :param slots: how many jobs may run at a time.
    :param environment: the daemon's own; PATH of it is passed on.
    """
    arguments = (str(settings.pot_fs_root), settings.clone_from, str(settings.pot_cmd), *settings.pot_clone_args)
    shown = {name: environment[name] for name in ("PATH",) if name in environment}
    program = Program("sccachedist.sandbox.pot.worker", arguments, shown, names_runs=True)
    proof = functools.partial(probe, directory=Path(tempfile.gettempdir()), command=_OF_THE_SYSTEM)
    return WorkerBuilder(
        reactor,
        program,
        proof,
        limits,
        scratch_bytes,
        slots,
        room=room,
        on_failure=on_failure,
        reuse=True,
        sweep_at_stop_secs=SWEEP_OUTSIDE_SECS,
    )
