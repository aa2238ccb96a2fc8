"""The room that unpacked toolchains have, and what becomes of those that find none."""

from sccachedist.builders.refusals import REMEMBERED_SECS
from sccachedist.builders.worker_protocol import (
    FollowToolchain,
    Growing,
    RemoveToolchain,
    RunJob,
    Size,
    UnpackToolchain,
)
from sccachedist.errors import DiskFull, LimitExceeded, ToolchainError
from tests.builders.worker_host import OTHER, TOOLCHAIN, BuilderCase


class UnpackedToolchainTests(BuilderCase):
    """A builder with little room, or on a disk that is full."""

    def test_unpacked_toolchains_make_room(self) -> None:
        """One that no job uses goes for the next, and is unpacked again for its next job, after its removal."""
        self.builder = self.new(room=Size(100, 100))
        self.done(TOOLCHAIN, Size(60, 1))
        job = self.job(OTHER)
        self.host.asked(UnpackToolchain).ends(size=Size(50, 1))
        removing = self.host.asked(RemoveToolchain)
        assert removing.request == RemoveToolchain(TOOLCHAIN)
        back = self.job(TOOLCHAIN)
        assert sorted(each.__name__ for each in self.host.requests()) == ["RemoveToolchain", "RunJob"]
        self.host.asked(RunJob).ends()
        self.successResultOf(job)
        removing.ends()
        self.host.asked(UnpackToolchain).ends(size=Size(50, 1))
        self.host.asked(RunJob).ends()
        self.successResultOf(back)

    def test_one_in_use_stays(self) -> None:
        """However much room another one needs, the toolchain of a job that runs is not removed under it."""
        self.builder = self.new(room=Size(100, 100))
        running = self.job(TOOLCHAIN)
        self.host.asked(UnpackToolchain).ends(size=Size(60, 1))
        job = self.job(OTHER)
        self.host.asked(UnpackToolchain).ends(size=Size(50, 1))
        removing = self.host.asked(RemoveToolchain)
        assert removing.request == RemoveToolchain(OTHER)
        removing.ends()
        self.failureResultOf(job, LimitExceeded)
        self.host.asked(RunJob).ends()
        self.successResultOf(running)

    def test_room_is_made_while_one_grows(self) -> None:
        """Its size is not known before; where toolchains in use leave no room, the unpacking ends there and goes."""
        self.builder = self.new(room=Size(100, 100))
        self.done(TOOLCHAIN, Size(60, 1))
        job = self.job(OTHER)
        unpacking = self.host.asked(UnpackToolchain)
        unpacking.answers(Growing(Size(30, 50)))
        assert self.host.requests() == [UnpackToolchain]
        unpacking.answers(Growing(Size(50, 60)))
        self.host.asked(RemoveToolchain).ends()
        unpacking.answers(Growing(Size(60, 101)), Growing(Size(70, 120)))
        assert unpacking.killed
        unpacking.clear()
        unpacking.end()
        assert self.host.asked(RemoveToolchain).request == RemoveToolchain(OTHER)
        self.host.asked(RemoveToolchain).ends()
        assert self.failureResultOf(job, LimitExceeded).value.limit == "toolchains_unpacked_inodes"
        self.done(TOOLCHAIN, Size(100, 100))

    def test_the_last_word_counts(self) -> None:
        """A toolchain that is too large in the end is removed like one that could not be unpacked."""
        self.builder = self.new(room=Size(100, 100))
        job = self.job(TOOLCHAIN)
        self.host.asked(UnpackToolchain).ends(size=Size(101, 1))
        self.host.asked(RemoveToolchain).ends()
        self.failureResultOf(job, LimitExceeded)
        self.done(TOOLCHAIN, Size(100, 1))

    def test_one_that_comes_in_takes_room_too(self) -> None:
        """As long as it is unpacked meanwhile."""
        follower = self.following()
        self.builder._toolchains._room._most = Size(100, 100)
        worker = self.host.asked(FollowToolchain)
        worker.answers(Growing(Size(101, 1)))
        assert worker.killed
        worker.clear()
        worker.end()
        self.host.asked(RemoveToolchain).ends()
        follower.aborted()
        self.done(TOOLCHAIN, Size(100, 1))

    def test_a_full_disk(self) -> None:
        """What is not in use goes, and the toolchain is unpacked once more when the disk has that back."""
        self.done(OTHER, Size(5, 5))
        job = self.job(TOOLCHAIN)
        self.host.asked(UnpackToolchain).ends(DiskFull("no room"))
        self.host.asked(RemoveToolchain).ends()
        self.host.asked(RemoveToolchain).ends()
        self.host.asked(UnpackToolchain).ends()
        self.host.asked(RunJob).ends()
        self.successResultOf(job)

    def test_a_disk_that_stays_full(self) -> None:
        """Then the job fails, and it is not the toolchain's fault: the next one tries again."""
        job = self.job(TOOLCHAIN)
        for _ in range(3):
            self.host.asked(UnpackToolchain).ends(DiskFull("no room"))
            self.host.asked(RemoveToolchain).ends()
        self.failureResultOf(job, DiskFull)
        self.done(TOOLCHAIN, Size(5, 5))

    def test_one_that_cannot_be_unpacked(self) -> None:
        """The next job is told so at once; after a while it is tried again."""
        job = self.job(TOOLCHAIN)
        self.host.asked(UnpackToolchain).ends(ToolchainError("damaged"))
        self.host.asked(RemoveToolchain).ends()
        self.failureResultOf(job, ToolchainError)
        self.failureResultOf(self.job(TOOLCHAIN), ToolchainError)
        assert self.host.requests() == []
        self.host.advance(REMEMBERED_SECS)
        self.done(TOOLCHAIN, Size(5, 5))
