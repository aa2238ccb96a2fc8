"""The overlay builder, in the daemon: it owns a directory, and has sandbox workers run compiles there.

It does not mount nor run anything itself: :mod:`sccachedist.sandbox.overlay.job` does, in a worker.
"""

import contextlib
import functools
import json
import os
from pathlib import Path

import attrs
from twisted.internet.task import deferLater

from sccachedist.builders.cgroups import WITHOUT_GROUPS, Limited, own_groups
from sccachedist.builders.disk_room import UNBOUNDED
from sccachedist.builders.interface import BuildJob
from sccachedist.builders.selftest.job import probe
from sccachedist.builders.selftest.requirements import OVERLAY
from sccachedist.builders.worker_builder import WorkerBuilder
from sccachedist.builders.worker_pool import IWorkerReactor, Program
from sccachedist.builders.worker_protocol import USUAL, JobLimits, Priority, Size, limits_from
from sccachedist.config import WorkerLimits
from sccachedist.daemon.logs import Logger
from sccachedist.daemon.privileges import Account
from sccachedist.directories import clear, lock_file, make_private, open_private
from sccachedist.disks import complaint_about
from sccachedist.errors import BuildError
from sccachedist.outcomes import SentLocal
from sccachedist.policy import OnFailure
from sccachedist.sandbox.overlay.layout import DIRECTORIES, TOOLCHAINS
from sccachedist.singleflight import SingleFlight

log = Logger()

#: The directory in ``build_dir`` that one builder owns.
HOME = "sccachedist"

_MARKER = ".made-by-sccachedist"
_CLEARING_TRIES, _CLEARING_PAUSE_SECS = 50, 0.02
_WORKER = "sccachedist.sandbox.overlay.worker"
#: Bytes that the C library keeps for the next job: as a rule, it gives large pieces back and faults them in again, for
#: each job, or not, as chance has it. A job's processes do not inherit these variables.
_KEPT_BYTES = 8 << 20
_ENVIRONMENT = {
    "PATH": os.defpath,
    "MALLOC_TRIM_THRESHOLD_": str(_KEPT_BYTES),
    "MALLOC_MMAP_THRESHOLD_": str(_KEPT_BYTES),
}


class OverlayBuilder(WorkerBuilder):
    """Runs compiles on overlays of their toolchains, as root or as any other user.

    :param build_dir: all that this builder keeps lies in ``sccachedist/`` below it; nothing else in it is touched.
    :param bwrap: the bubblewrap program.
    :param scratch_bytes: the size of the file system in memory that a job writes to.
    :param slots: how many jobs may run at a time.
    :param on_failure: which failed compiles the clients have to repeat.
    :param priority: how jobs stand beside other programs; ``cpu_weight``: of all of them in a control group, None for
        no such group.
    """

    def __init__(
        self,
        reactor: IWorkerReactor,
        build_dir: Path,
        bwrap: Path,
        limits: WorkerLimits,
        scratch_bytes: int,
        slots: int,
        on_failure: OnFailure = OnFailure.VERIFY,
        room: Size = UNBOUNDED,
        priority: Priority = USUAL,
        cpu_weight: int | None = None,
    ) -> None:
        self._home = build_dir.absolute() / HOME
        self._lock: int | None = None
        self._making: SingleFlight[Path] = SingleFlight()
        self._groups = own_groups(self._home, cpu_weight)
        job_limits = limits_from(limits, JobLimits, scratch_bytes=scratch_bytes)
        told = json.dumps(attrs.asdict(job_limits))
        program, clearing = (
            Program(_WORKER, (str(self._home), str(bwrap), told, json.dumps(attrs.asdict(its)), *groups), _ENVIRONMENT)
            for its, groups in ((priority, self._groups.parents), (USUAL, ()))
        )
        proof = functools.partial(probe, directory=self._home / TOOLCHAINS, requirements=OVERLAY)
        super().__init__(
            reactor,
            program,
            proof,
            limits,
            scratch_bytes,
            slots,
            room=room,
            on_failure=on_failure,
            follow=True,
            clearing=clearing if priority != USUAL or cpu_weight is not None else None,
        )

    def complaint(self) -> str:
        """See :meth:`sccachedist.builders.interface.Builder.complaint`. Toolchains that are unpacked can make room."""
        return complaint_about([self._home]) if self._room.is_empty else ""

    def give_to(self, account: Account) -> None:
        """Give all that this builder needs to the user that this process is about to become.

        :raises BuildError: the directory was not made by a builder, is another user's, or in use.
        """
        try:
            if not account.has_way(self._home):  # else that user can claim it in start()
                self._give_home(account)
        except OSError as error:
            raise BuildError(SentLocal.SANDBOX, str(error)) from error
        self._groups.prepare(account.uid)

    def _give_home(self, account: Account) -> None:
        if self._lock is None:
            self._lock = _claim(self._home)
        toolchains = open_private(self._home / TOOLCHAINS)
        try:
            clear(toolchains)  # that user could not remove what root unpacked
        finally:
            os.close(toolchains)
        account.own(self._home.parent, self._home.name)

    async def start(self) -> None:
        """See :meth:`sccachedist.builders.interface.Builder.start`."""
        if self._lock is None:
            self._lock = _claim(self._home)
        if not self._started:
            for limited in self._groups.prepare():
                _say(limited)
        await super().start()

    async def run(self, job: BuildJob) -> None:
        """See :meth:`sccachedist.builders.interface.Builder.run`."""
        if self._started and not self._is_there():
            await self._making.do(self._home, self._make_anew)
        await super().run(job)

    def _is_there(self) -> bool:
        """Whether the directory is still the one that was claimed, with all its subdirectories."""
        with contextlib.suppress(OSError):
            return (
                self._lock is not None
                and os.path.samestat(os.stat(f"{self._home}/{_MARKER}"), os.fstat(self._lock))
                and all(os.path.isdir(f"{self._home}/{name}") for name in DIRECTORIES)
            )
        return False

    async def _make_anew(self) -> None:
        """Claim the directory a second time after an operator removed it; jobs that still use the old one fail.

        :raises BuildError: the directory was not made by a builder, is in use, or cannot be made.
        """
        log.warn("{home} was removed, or its disk: it is made again", home=str(self._home))
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self._lock = _claim(self._home)
        workers, self.workers = self.workers, self._new_workers()
        self._forget_all()
        await workers.stop()

    async def stop(self) -> None:
        """See :meth:`sccachedist.builders.interface.Builder.stop`."""
        await super().stop()
        if self._lock is not None:
            await self._clear_groups()
            os.close(self._lock)
            self._lock = None

    async def _clear_groups(self) -> None:
        """Remove the control groups, with a few tries: a group is empty only when its killed processes are gone."""
        for _ in range(_CLEARING_TRIES):
            if self._groups.clear():
                break
            await deferLater(self._reactor, _CLEARING_PAUSE_SECS)


def _say(limited: Limited) -> None:
    if limited.parent:
        log.info("{controller} of a job: limited by control groups", controller=limited.controller)
    else:
        log.warn(
            "{controller} of a job: no control groups, {how}: {reason}",
            controller=limited.controller,
            how=WITHOUT_GROUPS[limited.controller],
            reason=limited.reason,
        )


def _claim(home: Path) -> int:
    """Make and lock the builder's directory; the returned descriptor holds the lock against other build servers.

    :raises BuildError: it was not made by a builder, is in use, another user's, or cannot be made.
    """
    try:
        place = open_private(home)
        try:
            if (names := os.listdir(place)) and _MARKER not in names:
                raise BuildError(
                    SentLocal.SANDBOX, f"{home} was not made by sccachedist: name another builder.build_dir"
                )
            return _locked(home, place)
        finally:
            os.close(place)
    except BlockingIOError as error:
        raise BuildError(SentLocal.SANDBOX, f"{home} is in use by another build server") from error
    except OSError as error:
        reason = error.strerror or error
        raise BuildError(SentLocal.SANDBOX, f"{home} cannot be used: {reason}; correct builder.build_dir") from error


def _locked(home: Path, place: int) -> int:
    """Lock the marker file, and make the subdirectories."""
    lock = lock_file(place, _MARKER)
    try:
        for name in DIRECTORIES:
            make_private(home / name)
    except BaseException:
        os.close(lock)
        raise
    return lock
