"""The keys of ``[toolchains]``: where a build server gets toolchains from, beside from clients.

This module does not know how a build server does that.
"""

from attrs import field, frozen

from sccachedist.config.schema import Effect, key
from sccachedist.config.values import BOOL

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
