"""A reactor that opens nothing and whose time stands still, for whole services."""

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from sccachedist.wire.addresses import ServerId


class Reactor(MemoryReactorClock):
    """A memory reactor with threads that do their work at once."""

    def getThreadPool(self) -> "Reactor":  # noqa: N802
        return self

    def callInThreadWithCallback(  # noqa: N802
        self, done: Callable[[bool, Any], None], function: Callable[..., Any], *arguments: Any
    ) -> None:
        try:
            result = function(*arguments)
        except Exception:
            done(False, Failure())
        else:
            done(True, result)

    def listen(self, address: ServerId, factory: IProtocolFactory) -> IListeningPort:
        """Listen, as far as that goes here."""
        return cast(IListeningPort, self.listenTCP(address.port, factory, interface=str(address.host)))

    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> None:  # noqa: N802
        function(*arguments)
