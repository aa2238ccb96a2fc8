"""Worker tokens: which workers may dial in to a gateway. What a worker does there is not known here."""

import attrs

from sccachedist.auth.bearer import same_secret
from sccachedist.auth.clients import digest_of
from sccachedist.errors import PeerRefused


@attrs.define
class WorkerTokens:
    """The tokens that are good now, one for each worker or for several."""

    tokens: tuple[str, ...]

    def identify(self, token: str | None) -> str:
        """The digest of a good token.

        :raises PeerRefused: it is missing, or none of these.
        """
        if token is None:
            raise PeerRefused("invalid_bearer_token", "no worker token")
        if not sum(same_secret(token, each) for each in self.tokens):  # all are compared, whichever is equal
            raise PeerRefused("invalid_bearer_token", "worker token refused")
        return digest_of(token)

    def knows(self, digest: str) -> bool:
        """Whether a token with this digest is good."""
        return digest in map(digest_of, self.tokens)
