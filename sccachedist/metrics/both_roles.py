"""The series that both roles have, and the port that shows a role's metrics and whether it is well."""

import platform
from collections.abc import Callable
from typing import Any

import twisted
from sccachedist import __version__
from sccachedist.config import ConnectionLimits
from sccachedist.daemon.logs import logged
from sccachedist.daemon.reload import Reload, S
from sccachedist.daemon.startup import check_address
from sccachedist.metrics.lag import LoopLag
from sccachedist.metrics.registry import Registry
from sccachedist.metrics.routes import Expose, MonitorRoutes
from sccachedist.web.listener import Listen, Listener
from sccachedist.web.port_counts import NO_ROUTE
from sccachedist.web.request import Site
from sccachedist.web.router import Mounted
from sccachedist.wire.addresses import ServerId

#: Connections to the port for metrics, at a time and from one address: monitoring systems are few.
CONNECTIONS, PER_ADDRESS = 64, 16


def watch(registry: Registry, role: str, site: Site, expiry: Callable[[], float | None], reactor: Any) -> LoopLag:
    """Give the series of both roles their values.

    :param role: what the role is called.
    :param site: the role's port.
    :param expiry: returns when the certificate that is shown there expires, in seconds since 1970.
    :returns: a service that has to run for that.
    """
    counts = site.counts
    info = (role, __version__, platform.python_version(), twisted.__version__)
    registry.read("sccachedist_build_info", lambda: {info: 1.0})
    registry.read(
        "sccachedist_http_requests_total",
        lambda: {(route, str(status)): count for (route, status), count in counts.answered.items()},
    )
    registry.read("sccachedist_connections", lambda: len(site.connections))
    registry.read("sccachedist_connections_max", lambda: site.limits.connections)
    registry.read("sccachedist_limits_hit_total", lambda: counts.limits)
    registry.read("sccachedist_tls_handshakes_total", lambda: counts.handshakes)
    registry.read("sccachedist_certificate_expiry_timestamp_seconds", expiry)
    registry.read("sccachedist_incidents_total", lambda: counts.incidents)
    registry.read("sccachedist_log_events_total", lambda: logged)
    took = registry.histograms("sccachedist_http_request_seconds", (*site.routes.names, NO_ROUTE))
    counts.timed = lambda route, seconds: took[route].observe(seconds)
    return LoopLag(registry.histogram("sccachedist_event_loop_lag_seconds").observe, reactor)


def watch_reloads(registry: Registry, reload: Reload[S]) -> None:
    """Give the series of the configuration their values."""
    registry.read("sccachedist_config_reload_success_timestamp_seconds", lambda: reload.succeeded)
    registry.read("sccachedist_config_reload_failed", lambda: float(reload.failed))


def monitor_port(
    address: ServerId, expose: Expose, unready: Callable[[], str], reactor: Any, listen: Listen
) -> Listener:
    """The port of ``[metrics] address``, see :class:`~sccachedist.metrics.routes.MonitorRoutes`.

    :raises ConfigError: this process cannot listen there.
    """
    check_address("metrics.address", address)
    limits = ConnectionLimits(connections=CONNECTIONS, connections_per_address=PER_ADDRESS)
    return Listener(address, Site(Mounted(MonitorRoutes(expose, unready)), reactor, limits), listen)
