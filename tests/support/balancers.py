"""HAProxy and nginx before two schedulers, started with the files that are shipped; addresses alone are replaced.

The schedulers are at two addresses of the loopback, because the files have one port for all. The balancer's certificate
is vouched for by an authority that lives as long.
"""

import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path

import attrs

from farmkit.launch import CHECKOUT
from farmkit.processes import LOOPBACK, Command, Daemon, answers, free_port, inherited
from tests.support.proxy import Vouched, nginx

#: Where the schedulers are, and what the files have in the place of these.
HOSTS, SHIPPED_HOSTS = ("127.0.0.21", "127.0.0.22"), ("192.168.1.1", "192.168.1.2")

#: From a folder, the text of a file and its name to the command that runs the balancer.
Start = Callable[[Path, str], Command]


@attrs.frozen
class Kind:
    """A program that balances.

    :param file: its example, below ``contrib/``.
    :param here: what the file has for the address that it listens at.
    :param certificates: where the file says that the certificate is.
    """

    file: str
    here: str
    certificates: str
    command: Start

    @property
    def text(self) -> str:
        """The example."""
        return (CHECKOUT / "contrib" / self.file).read_text()


def _haproxy(folder: Path, text: str) -> Command:
    (folder / "haproxy.cfg").write_text(text)
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"  # not on the PATH of others than root
    return Command((program, "-db", "-f", "haproxy.cfg"), inherited(), folder)


HAPROXY = Kind("haproxy/haproxy.cfg", "bind :443", "/etc/haproxy/farm.example.org", _haproxy)
NGINX = Kind("nginx/sccachedist.conf", "listen 443", "/etc/nginx/farm.example.org", nginx)


@attrs.define
class Balancer(Vouched):
    """One that runs for a while.

    :param port: where the schedulers listen, each at its host; ``monitor_port``: where they say whether they are ready.
    """

    kind: Kind
    folder: Path
    port: int = attrs.field(factory=free_port)
    scheduler_port: int = attrs.field(factory=free_port)
    monitor_port: int = attrs.field(factory=free_port)

    @property
    def url(self) -> str:
        """Where clients and build servers find the farm."""
        return f"https://{LOOPBACK}:{self.port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it run."""
        self.certify("balancer.pem", "balancer.key")
        daemon = Daemon.start(self.kind.command(self.folder, self._text()), self.folder / "log")
        try:
            daemon.wait_until(lambda: answers(self.port), 30, "the balancer answers")
            yield
        finally:
            daemon.stop()

    def connected(self, seconds: float, source: str = LOOPBACK) -> HTTPSConnection:
        """A connection to it, from an address of this machine."""
        trusting = ssl.create_default_context(cafile=self.authority)
        return HTTPSConnection(LOOPBACK, self.port, timeout=seconds, source_address=(source, 0), context=trusting)

    def _text(self) -> str:
        """The example with the addresses of this machine."""
        listens = self.kind.here.split()[0]
        text = self.kind.text.replace("10601", str(self.monitor_port))  # not all look after the schedulers
        for shipped, here in (
            (self.kind.here, f"{listens} {LOOPBACK}:{self.port}"),
            (self.kind.certificates, str(self.folder / "balancer")),
            *zip(SHIPPED_HOSTS, HOSTS, strict=True),
            ("10600", str(self.scheduler_port)),
        ):
            assert shipped in text, shipped
            text = text.replace(shipped, here)
        return text
