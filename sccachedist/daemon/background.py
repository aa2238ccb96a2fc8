"""Work that its caller does not wait for."""

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred

from sccachedist.daemon.logs import Logger

log = Logger()


def in_background(work: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
    """Start work without waiting for it; its errors are logged."""
    return Deferred.fromCoroutine(work).addErrback(lambda failure: log.failure("in the background", failure))
