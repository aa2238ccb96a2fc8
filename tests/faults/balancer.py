"""HAProxy before several schedulers, on a host of its own: the one address that clients and build servers know."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from farmkit.processes import Command, Daemon, answers, free_port, inherited
from tests.faults.network import Host

_START_SECS = 20

# What a scheduler has not answered when it goes away is asked of another one: none of it does harm when it is asked
# twice. A request may wait for a slot longer than any fault lasts.
_CONFIG = """\
defaults
    mode http
    option http-buffer-request
    option redispatch 1
    retries 5
    retry-on conn-failure empty-response
    timeout connect 1s
    timeout client 600s
    timeout server 600s

frontend farm
    bind {here}
    http-request set-header X-Real-IP %[src]
    default_backend schedulers

backend schedulers
    balance roundrobin
{servers}
"""
_SERVER = "    server {name} {address} check inter 500ms fall 2 rise 1\n"


@contextmanager
def balancing(host: Host, folder: Path, schedulers: Mapping[str, str]) -> Iterator[tuple[int, Daemon]]:
    """Its port, and the process.

    :param schedulers: by their names, their addresses with a port.
    """
    port, config = free_port(), folder / "haproxy.cfg"
    servers = "".join(_SERVER.format(name=name, address=address) for name, address in schedulers.items())
    config.write_text(_CONFIG.format(here=f"{host.address}:{port}", servers=servers))
    command = Command((*host.within, "haproxy", "-db", "-f", str(config)), inherited(), folder)
    daemon = Daemon.start(command, folder / "haproxy.log")
    try:
        daemon.wait_until(lambda: answers(port, host.address), _START_SECS, "the balancer listens")
        yield port, daemon
    finally:
        daemon.stop()
