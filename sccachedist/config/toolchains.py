"""The keys of ``[toolchains]``: where a build server gets toolchains from, beside from clients.

This module does not know how a build server does that.
"""

from attrs import field, frozen

from sccachedist.config.schema import Effect, key
from sccachedist.config.values import BOOL, NUMBER

RESTART = Effect.RESTART


@frozen
class ToolchainsSettings:
    """Where a build server gets toolchains from, beside from clients."""

    share: bool = field(
        default=True,
        metadata=key(
            BOOL,
            "Whether it fetches toolchains from other build servers of sccachedist under the same scheduler, and gives "
            "them its own. Else clients bring each of its toolchains.",
            RESTART,
        ),
    )
    prewarm: int = field(
        default=4,
        metadata=key(
            NUMBER,
            "How many of the toolchains that the farm needed most in the last hour it fetches before it says that it "
            "is ready, for 20 seconds at most; none with 0.",
            RESTART,
        ),
    )
