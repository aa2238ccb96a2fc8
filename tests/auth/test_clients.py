"""Which clients may have jobs."""

import traceback

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from sccachedist.auth.clients import SharedClientToken
from sccachedist.errors import ClientRefused

AUTH = SharedClientToken("hunter2")


class SharedTokenTests(SynchronousTestCase):
    """All clients show ``hunter2``."""

    def check(self, token: str | None) -> Deferred[None]:
        return Deferred.fromCoroutine(AUTH.check(token))

    def test_good(self) -> None:
        """The token lets a client in."""
        assert self.successResultOf(self.check("hunter2")) is None

    def test_refused(self) -> None:
        """Another one does not, nor does none, and the client is told which of both it is."""
        for token in (None, "", "hunter", "hunter22", "HUNTER2", " hunter2"):
            error = self.failureResultOf(self.check(token), ClientRefused).value
            assert error.challenge == ("no_bearer_auth" if token is None else "bearer_auth_failed")

    def test_secret(self) -> None:
        """Neither what is configured nor what was shown can get into a log."""
        error = self.failureResultOf(self.check("hunter3"), ClientRefused).value
        for text in (repr(AUTH), "".join(traceback.format_exception(error))):
            assert "hunter" not in text.replace("test_clients", "")
