"""Hosts on one Ethernet: network namespaces with a cable each, which can be pulled.

For a process that has a network namespace of its own, and root's rights in it: all of this goes with it. What runs on
a host is not known here.
"""

import contextlib
import subprocess
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import attrs

from farmkit.launch import Launch
from farmkit.processes import Command, wait_until

#: The address of the host that the Ethernet's owner is on itself.
HERE = "10.77.0.1"
_NETWORK = "10.77.0.0/24"

_BRIDGE, _WIRE = "lan0", "eth0"
_INNER_BRIDGE, _INNER_WIRE = "lan1", "eth1"


def ip(*arguments: str, within: tuple[str, ...] = ()) -> None:
    """Run iproute2's ``ip``.

    :raises RuntimeError: it did not do it; the text is its own.
    """
    ended = subprocess.run([*within, "ip", *arguments], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {ended.stderr.strip()}")


@contextlib.contextmanager
def ethernet() -> Iterator[Callable[[str], "Host"]]:
    """An Ethernet that this process is on at :data:`HERE`; what is given connects another host by its name."""
    ip("link", "set", "lo", "up")
    ip("link", "add", _BRIDGE, "type", "bridge")
    ip("addr", "add", f"{HERE}/24", "dev", _BRIDGE)
    ip("link", "set", _BRIDGE, "up")
    numbers = iter(range(2, 255))
    with contextlib.ExitStack() as hosts:
        hosts.callback(partial(ip, "link", "del", _BRIDGE))
        yield lambda name: hosts.enter_context(_connected(name, f"10.77.0.{next(numbers)}"))


@contextlib.contextmanager
def ethernet_behind(door: "Host") -> Iterator[Callable[[str], "Host"]]:
    """An Ethernet behind a host: who is there reaches that host by its address, and no other host has a way there."""
    ip("link", "add", _INNER_BRIDGE, "type", "bridge")
    ip("link", "set", _INNER_BRIDGE, "up")
    numbers, inner = iter(range(2, 255)), "10.78.0.1"
    with contextlib.ExitStack() as hosts:
        hosts.callback(partial(ip, "link", "del", _INNER_BRIDGE))
        attrs.evolve(door, name=f"{door.name}-in", address=inner).plug(_INNER_BRIDGE, _INNER_WIRE)

        def connect(name: str) -> Host:
            host = hosts.enter_context(_connected(name, f"10.78.0.{next(numbers)}", _INNER_BRIDGE))
            ip("route", "add", _NETWORK, "via", inner, within=host.within)
            return host

        yield connect


@attrs.frozen
class Host:
    """A network namespace on the Ethernet; it lasts as long as the process that holds it."""

    name: str
    address: str
    holder: int

    @property
    def within(self) -> tuple[str, ...]:
        """What stands before a command that is to run there."""
        return ("nsenter", f"--net=/proc/{self.holder}/ns/net", "--")

    def plug(self, bridge: str, wire: str) -> None:
        """Lay a cable from here to an Ethernet.

        :param wire: what the host calls its end.
        """
        ip("link", "add", self.name, "type", "veth", "peer", "name", wire, "netns", str(self.holder))
        ip("link", "set", self.name, "master", bridge, "up")
        ip("addr", "add", f"{self.address}/24", "dev", wire, within=self.within)
        ip("link", "set", wire, "up", within=self.within)

    def launching(self, launch: Launch) -> Launch:
        """The same daemon on this host."""

        def launch_there(config: Path) -> Command:
            command = launch(config)
            return attrs.evolve(command, arguments=(*self.within, *command.arguments))

        return launch_there

    @contextlib.contextmanager
    def unplugged(self) -> Iterator[None]:
        """Its cable is pulled while this lasts."""
        ip("link", "set", self.name, "down")
        try:
            yield
        finally:
            ip("link", "set", self.name, "up")

    @contextlib.contextmanager
    def parted_from(self, addresses: Iterable[str]) -> Iterator[None]:
        """What it sends to these addresses vanishes while this lasts."""
        with contextlib.ExitStack() as routes:
            for address in addresses:
                ip("route", "add", "blackhole", address, within=self.within)
                routes.callback(partial(ip, "route", "del", "blackhole", address, within=self.within))
            yield

    @contextlib.contextmanager
    def mute(self, port: int) -> Iterator[None]:
        """What it sends from a port vanishes while this lasts: who connects to it hangs, and it reaches others."""
        rule = ("ipproto", "tcp", "sport", str(port), "blackhole")
        ip("rule", "add", *rule, within=self.within)
        try:
            yield
        finally:
            ip("rule", "del", *rule, within=self.within)


@contextlib.contextmanager
def _connected(name: str, address: str, bridge: str = _BRIDGE) -> Iterator[Host]:
    ours = Path("/proc/self/ns/net").readlink()
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE) as holder:  # cat ends with its input
        wait_until(lambda: Path(f"/proc/{holder.pid}/ns/net").readlink() != ours, 10, "a network namespace is there")
        host = Host(name, address, holder.pid)
        ip("link", "set", "lo", "up", within=host.within)
        host.plug(bridge, _WIRE)
        yield host
