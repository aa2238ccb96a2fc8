"""How fast what is fetched has to come: one that sends a little now and then would hold up jobs for minutes."""

from twisted.internet.interfaces import IReactorTime

from sccachedist.errors import PeerError
from sccachedist.toolchains.fetching import Sink

#: How many bytes have to come per second, on average from the end of the first seconds on.
LEAST_BYTES_PER_SEC, FIRST_SECS = 100_000, 10.0


def paced(sink: Sink, clock: IReactorTime) -> Sink:
    """A sink that gives all to another one, and raises a PeerError when too little has come since now."""
    began, size = clock.seconds(), 0

    def timed(octets: bytes) -> None:
        nonlocal size
        size += len(octets)
        seconds = clock.seconds() - began
        if seconds > FIRST_SECS and size < LEAST_BYTES_PER_SEC * seconds:
            raise PeerError(f"only {size} bytes in {seconds:.0f} s")
        sink(octets)

    return timed
