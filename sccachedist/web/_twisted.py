"""The private names of Twisted that nothing public stands in for: all of them are here, each with its reason.

``tests/web/test_twisted_names.py`` fails by name when a release of Twisted drops one.
"""

from twisted.protocols.tls import TLSMemoryBIOProtocol


class ForewarnedTLS(TLSMemoryBIOProtocol):
    """TLS that says that it ends, whichever side ends it, while something can still be sent.

    Twisted ends its side as soon as it sees that the peer has, and tells the inner protocol afterwards.
    """

    def about_to_end(self) -> None:
        """Do what has to be done before TLS ends. It may be called again."""

    def _shutdownTLS(self) -> None:  # noqa: N802
        self.about_to_end()
        super()._shutdownTLS()
