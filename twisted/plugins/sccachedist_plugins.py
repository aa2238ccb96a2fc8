"""The roles, for ``twistd``."""

import gc
from typing import Any

from twisted.application.service import ServiceMaker


class _Role(ServiceMaker):
    """A role that is loaded without searches for garbage: they take a quarter of the time of a start, for next to none.

    What a module has loaded stays. A search that came later would go through all of it, so it is left out of those.
    """

    @property
    def options(self) -> Any:
        """The role's options, from its module, which is loaded first."""
        searching = gc.isenabled()
        gc.disable()
        try:
            options = super().options
            gc.freeze()
            return options
        finally:
            if searching:
                gc.enable()


scheduler = _Role(
    "sccachedist scheduler",
    "sccachedist.scheduler.service",
    "The scheduler of a compile farm, for sccache clients.",
    "sccache-scheduler",
)

server = _Role(
    "sccachedist build server",
    "sccachedist.server.service",
    "A build server of a compile farm, for sccache clients.",
    "sccache-server",
)

worker = _Role(
    "sccachedist worker",
    "sccachedist.worker.service",
    "A worker of gateways: a build server without a port.",
    "sccache-worker",
)
