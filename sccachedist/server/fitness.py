"""Whether this build server is fit for jobs, and when it tests itself.

A server that is unfit gets no jobs: else it would send one after the other home, and faster than the others compile.
Four things tell that it may be:

- a disk is nearly full, or does not work: then it is unfit at once, before a job fails;
- hardly any memory is free: the same, and it has to be more than that again for some time;
- a job fails at a disk: then it is unfit at once, too, for the next job would fail as well;
- a job fails for another reason that may lie with this host, such as a sandbox that does not begin or a worker that
  dies: then it tests itself, and is unfit if it fails. Not before, for a client can bring that about.

It is fit again when the self-test passes. If disks fail again although it does, the next test comes later each time.

Pure: the time is an argument. What a test consists of is not known here.
"""

import attrs

from sccachedist.errors import BuildError, CompileFailed, DiskError, ForeignToolchain, ToolchainError
from sccachedist.memory import FreeMemory
from sccachedist.wire.extension import Health

#: Seconds from a failed self-test to the next, doubled each time up to the second number.
RETRY_SECS, MOST_RETRY_SECS = 1.0, 30.0
#: Seconds from a job that fails at a disk to the test, if no job has succeeded since the last such job; doubled too.
RELAPSE_SECS, MOST_RELAPSE_SECS = 10.0, 300.0
#: The least seconds between two tests for jobs that failed otherwise: clients can have jobs fail all the time.
SUSPICION_SECS = 10.0
#: A server with fewer bytes of memory has room for hardly any job; one that is unfit needs the second number.
LEAST_MEMORY, ENOUGH_MEMORY = 64 << 20, 128 << 20
#: The least seconds that a server is unfit for lack of memory: it may change with each job that runs.
MEMORY_SECS = 10.0
#: The most characters of a reason that is told.
LONGEST_REASON = 300


def is_its_own(error: BaseException) -> bool:
    """Whether a job that fails so may have failed because of the build server, and not because of its own content."""
    return isinstance(error, DiskError | ToolchainError) or (
        isinstance(error, BuildError) and not isinstance(error, CompileFailed | ForeignToolchain)
    )


@attrs.define
class Fitness:
    """What is known about it.

    :param reason: why this server is unfit; empty if it is fit.
    :param test_at: when to test; None if there is no need.
    """

    reason: str = ""
    test_at: float | None = None
    _ended: int = 0
    _sent_home: int = 0
    _failed_tests: int = 0
    _relapses: int = 0
    _tested: float = -SUSPICION_SECS

    @property
    def health(self) -> Health:
        """What the scheduler is told."""
        return Health(self.reason, self._ended, self._sent_home)

    def succeeded(self) -> None:
        """Note a job that gave a result."""
        self._ended += 1
        self._relapses = 0

    def failed(self, error: BaseException, now: float) -> None:
        """Note a job that was sent home."""
        self._ended += 1
        if not is_its_own(error):
            return
        self._sent_home += 1
        if isinstance(error, DiskError):
            self._be_unfit(str(error))
            pause = min(MOST_RELAPSE_SECS, RELAPSE_SECS * 2 ** (self._relapses - 1)) if self._relapses else 0.0
            self._relapses += 1
            self._test(now + pause)
        elif isinstance(error, BuildError) and not self.reason:
            self._test(max(now, self._tested + SUSPICION_SECS))

    def lack(self, disks: str, memory: FreeMemory | None) -> str:
        """Say what this server has too little of for jobs; empty if it has enough.

        :param disks: what is wrong with a disk; empty if all have room.
        :param memory: None if that cannot be told.
        """
        least = ENOUGH_MEMORY if self.reason else LEAST_MEMORY
        if disks or memory is None or memory.bytes >= least:
            return disks
        return f"the memory of {memory.of}: less than {least >> 20} MiB are free"

    def looked(self, disks: str, memory: FreeMemory | None, now: float) -> None:
        """Note a look at disks and memory, as in :meth:`lack`."""
        lack = self.lack(disks, memory)
        if lack and not self.reason:
            self._be_unfit(lack)
            self._test(now + (RETRY_SECS if disks else MEMORY_SECS))

    def tested(self, complaint: str, now: float) -> None:
        """Note the end of a self-test; an empty complaint if it has passed."""
        self._tested, self.test_at = now, None
        if not complaint:
            self.reason, self._failed_tests = "", 0
            return
        self._be_unfit(complaint)
        self._test(now + min(MOST_RETRY_SECS, RETRY_SECS * 2**self._failed_tests))
        self._failed_tests = min(self._failed_tests + 1, 10)

    def _be_unfit(self, reason: str) -> None:
        self.reason = " ".join(reason.split())[:LONGEST_REASON]

    def _test(self, when: float) -> None:
        """Test at that time, or later if that was decided before: a failure while it is unfit tells nothing new."""
        if self.test_at is None:
            self.test_at = when
