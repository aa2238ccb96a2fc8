"""Work that several ask for at once."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from sccachedist.singleflight import SingleFlight


class SharedWorkTests(SynchronousTestCase):
    """Pieces of work that end when the test says so."""

    def setUp(self) -> None:
        self.shared: SingleFlight[str] = SingleFlight()
        self.begun: list[Deferred[None]] = []

    async def work(self) -> None:
        self.begun.append(Deferred())
        await self.begun[-1]

    def ask(self, key: str = "gcc") -> Deferred[None]:
        return Deferred.fromCoroutine(self.shared.do(key, self.work))

    def test_done_once(self) -> None:
        """Work that is under way is waited for by all who ask, and is not begun again."""
        asked = [self.ask() for _ in range(3)]
        assert len(self.begun) == 1
        for each in asked:
            self.assertNoResult(each)
        self.begun[0].callback(None)
        for each in asked:
            assert self.successResultOf(each) is None

    def test_one_error_for_all(self) -> None:
        """When the work fails, all who asked for it hear why."""
        asked = [self.ask() for _ in range(3)]
        self.begun[0].errback(OSError("disk full"))
        for each in asked:
            assert str(self.failureResultOf(each, OSError).value) == "disk full"

    def test_done_anew(self) -> None:
        """Work that has ended, well or not, is begun again for who asks after that."""
        good = self.ask()
        self.begun[0].callback(None)
        self.successResultOf(good)
        bad = self.ask()
        self.begun[1].errback(OSError())
        self.failureResultOf(bad, OSError)
        self.ask()
        assert len(self.begun) == 3

    def test_asked_at_the_end(self) -> None:
        """Who asks in the moment in which the work ends gets it done again."""
        asked, again = self.ask(), []
        asked.addCallback(lambda _: again.append(self.ask()))
        self.begun[0].callback(None)
        assert len(self.begun) == 2
        self.begun[1].callback(None)
        assert self.successResultOf(again[0]) is None

    def test_each_key_by_itself(self) -> None:
        """Other work goes on beside it."""
        gcc, clang = self.ask("gcc"), self.ask("clang")
        self.begun[1].callback(None)
        self.assertNoResult(gcc)
        assert self.successResultOf(clang) is None

    def test_at_once(self) -> None:
        """Work that need not wait for anything is done when it is asked for."""

        async def nothing() -> None:
            pass

        assert self.successResultOf(Deferred.fromCoroutine(self.shared.do("gcc", nothing))) is None

    def test_given_up(self) -> None:
        """Work goes on for the others when one of those who wait gives up, even the first one."""
        first, second = self.ask(), self.ask()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertNoResult(second)
        self.begun[0].callback(None)
        assert self.successResultOf(second) is None

    def test_given_up_by_all(self) -> None:
        """Work that nobody waits for any more goes on to its end, and who asks meanwhile waits for it."""
        self.ask().addErrback(lambda _: None).cancel()
        asked = self.ask()
        assert len(self.begun) == 1
        self.begun[0].callback(None)
        assert self.successResultOf(asked) is None
