"""The roles, for ``twistd``."""

from twisted.application.service import ServiceMaker

scheduler = ServiceMaker(
    "sccachedist scheduler",
    "sccachedist.scheduler.service",
    "The scheduler of a compile farm, for sccache clients.",
    "sccache-scheduler",
)

server = ServiceMaker(
    "sccachedist build server",
    "sccachedist.server.service",
    "A build server of a compile farm, for sccache clients.",
    "sccache-server",
)

worker = ServiceMaker(
    "sccachedist worker",
    "sccachedist.worker.service",
    "A worker of gateways: a build server without a port.",
    "sccache-worker",
)
