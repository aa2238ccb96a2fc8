"""The overlay builder: sandbox workers in a directory that is this builder's alone.

What they do inside stands in :mod:`sccachedist.sandbox.overlay.job`.
"""

import contextlib
import functools
import os
from pathlib import Path

from twisted.internet.task import deferLater

from sccachedist.builders.cgroups import WITHOUT_GROUPS, Limited, own_groups
from sccachedist.builders.disk_room import UNBOUNDED
from sccachedist.builders.interface import BuildJob
from sccachedist.builders.selftest.job import probe
from sccachedist.builders.selftest.requirements import OVERLAY
from sccachedist.builders.worker_builder import WorkerBuilder
from sccachedist.builders.worker_pool import IWorkerReactor, Program
from sccachedist.builders.worker_protocol import Size
from sccachedist.config import ServerLimits
from sccachedist.daemon.logs import Logger
from sccachedist.daemon.privileges import Account
from sccachedist.directories import clear, lock_file, make_private, open_private
from sccachedist.errors import BuildError
from sccachedist.policy import OnFailure
from sccachedist.sandbox.overlay.layout import DIRECTORIES, TOOLCHAINS
from sccachedist.singleflight import SingleFlight

log = Logger()

#: The directory in ``build_dir`` that is a builder's alone.
HOME = "sccachedist"

_MARKER = ".made-by-sccachedist"
_CLEARING_TRIES, _CLEARING_PAUSE_SECS = 50, 0.02
_WORKER = "sccachedist.sandbox.overlay.worker"


class OverlayBuilder(WorkerBuilder):
    """Runs compiles on overlays of their toolchains, as root or as anybody.

    :param build_dir: where ``sccachedist/`` is made for all that this builder keeps; nothing else in it is
        touched.
    :param bwrap: the bubblewrap program.
    :param scratch_bytes: the size of the file system that a job writes to, in memory.
    :param slots: how many jobs may run at a time.
    :param on_failure: which failed compiles their clients repeat.
    """

    def __init__(
        self,
        reactor: IWorkerReactor,
        build_dir: Path,
        bwrap: Path,
        limits: ServerLimits,
        scratch_bytes: int,
        slots: int,
        on_failure: OnFailure = OnFailure.VERIFY,
        room: Size = UNBOUNDED,
    ) -> None:
        self._home = build_dir.absolute() / HOME
        self._lock: int | None = None
        self._making: SingleFlight[Path] = SingleFlight()
        self._groups = own_groups(self._home)
        bounds = f"{limits.job_memory_bytes}:{limits.job_processes}"
        arguments = (str(self._home), str(bwrap), bounds, *self._groups.parents)
        program = Program(_WORKER, arguments, {"PATH": os.defpath})
        proof = functools.partial(probe, directory=self._home / TOOLCHAINS, requirements=OVERLAY)
        super().__init__(
            reactor, program, proof, limits, scratch_bytes, slots, room=room, on_failure=on_failure, follow=True
        )

    def give_to(self, account: Account) -> None:
        """Make everything that this builder needs another user's, whom this process is about to become.

        :raises BuildError: the directory is not ours, another user's, or in use.
        """
        try:
            if not account.has_way(self._home):  # else that user claims it
                self._give_home(account)
        except OSError as error:
            raise BuildError(str(error)) from error
        self._groups.prepare(account.uid)

    def _give_home(self, account: Account) -> None:
        if self._lock is None:
            self._lock = _claim(self._home)
        toolchains = open_private(self._home / TOOLCHAINS)
        try:
            clear(toolchains)  # what root unpacked, that user could not remove
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
        """Whether the directory is the one that was claimed, and has what it needs."""
        with contextlib.suppress(OSError):
            return (
                self._lock is not None
                and os.path.samestat(os.stat(f"{self._home}/{_MARKER}"), os.fstat(self._lock))
                and all(os.path.isdir(f"{self._home}/{name}") for name in DIRECTORIES)
            )
        return False

    async def _make_anew(self) -> None:
        """Somebody has removed what was there: begin again, without the jobs that still use it.

        :raises BuildError: the directory is not ours, in use, or cannot be made.
        """
        log.warn("{home} was removed, or its disk: it is made anew", home=str(self._home))
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self._lock = _claim(self._home)
        workers, self._workers = self._workers, self._new_workers()
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
        """A group is empty as soon as the last process that was killed in it is gone."""
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
    """Make the directory that is ours alone; the descriptor that comes back keeps other build servers out.

    :raises BuildError: it is not ours, in use, another user's, or cannot be made.
    """
    try:
        place = open_private(home)
        try:
            if (names := os.listdir(place)) and _MARKER not in names:
                raise BuildError(f"{home} was not made by sccachedist: name another builder.build_dir")
            return _locked(home, place)
        finally:
            os.close(place)
    except BlockingIOError as error:
        raise BuildError(f"{home} is in use by another build server") from error
    except OSError as error:
        reason = error.strerror or error
        raise BuildError(f"{home} cannot be used: {reason}; correct builder.build_dir") from error


def _locked(home: Path, place: int) -> int:
    """Lock the marker, and make what belongs into the directory."""
    lock = lock_file(place, _MARKER)
    try:
        for name in DIRECTORIES:
            make_private(home / name)
    except BaseException:
        os.close(lock)
        raise
    return lock
