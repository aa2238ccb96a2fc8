"""A job that a client of a gateway waits for: the answer that comes for it, and its end.

Which worker has it is not known here.
"""

import os
from collections.abc import Callable
from pathlib import Path

import attrs
from twisted.internet.defer import Deferred

from sccachedist.builders.interface import BuildJob
from sccachedist.disks import on_disk
from sccachedist.errors import DiskError, SccachedistError
from sccachedist.files import overwrite
from sccachedist.gateway.believed import failure_of, usage_of
from sccachedist.policy import OnFailure
from sccachedist.wire.gateway import Built, NotBuilt


def _nothing_comes() -> None:
    """Do nothing: no answer has begun."""


@attrs.define
class RunningJob:
    """A job, from its coming to its end.

    :param done: fires at its end.
    """

    job: BuildJob
    on_failure: OnFailure
    done: Deferred[None] = attrs.field(factory=Deferred)
    _give_way: Callable[[], None] = attrs.field(default=_nothing_comes, init=False)

    def receives(self, give_way: Callable[[], None] = _nothing_comes) -> None:
        """Note that an answer has begun to come, or that none is wanted: of several, only the last one is stored.

        :param give_way: called when this one does not count any more; it may be over by then.
        """
        self._give_way()
        self._give_way = give_way

    def settle(self, answer: Built | NotBuilt, result: bytes | Path | None) -> None:
        """End it with a worker's answer.

        :param result: the result, or the file with it, which is moved.
        """
        self.job.watch.used(usage_of(answer), answer.toolchain_ns)
        if isinstance(answer, NotBuilt):
            self.end(failure_of(answer))
            return
        try:
            assert result is not None
            if isinstance(result, bytes):
                overwrite(self.job.answer, result)
            else:
                with on_disk(self.job.answer):
                    os.replace(result, self.job.answer)
        except DiskError as error:
            self.end(error)
            return
        self.end(None)

    def end(self, error: SccachedistError | None) -> None:
        """End it, unless it was cancelled; without an error, it has a result."""
        if self.done.called:
            return
        if error is None:
            self.done.callback(None)
        else:
            self.done.errback(error)
