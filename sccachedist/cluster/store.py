"""The store in which schedulers of one farm meet. It does not know what they keep there, nor how one is asked."""

from sccachedist.errors import SccachedistError


class StoreError(SccachedistError):
    """The store has not done what it was asked for: it is away, or it refuses. One line, without a secret."""
