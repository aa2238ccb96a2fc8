"""The overlay builder's sandbox worker, which notes what it has imported after each job."""

from pathlib import Path

from sccachedist.builders.worker_protocol import RunJob
from sccachedist.sandbox.meter import Meter
from sccachedist.sandbox.overlay.worker import OverlaySandboxes, main
from tests.support.loaded import WORKERS, note

_run_job = OverlaySandboxes.run_job


def run_job(sandboxes: OverlaySandboxes, request: RunJob, meter: Meter) -> None:
    """Run it, then note what that took."""
    _run_job(sandboxes, request, meter)
    note(Path(sandboxes.home, WORKERS))


if __name__ == "__main__":
    OverlaySandboxes.run_job = run_job  # type: ignore[assignment, method-assign]
    main()
