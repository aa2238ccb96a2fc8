"""What sets a build server apart from others: a value and its bytes, in a heartbeat behind what it tells of its host.

What follows from it for placement is decided in the scheduler; which values are believed, in
:mod:`sccachedist.scheduler.heartbeat_bounds`.
"""

import re

import attrs

from sccachedist.wire.bincode import BOOL, TEXT, U16, U64, Json, Reader, decode, numbers, sequence, struct
from sccachedist.wire.host_facts import MOST_TOOLCHAINS

#: The most machines and labels of a build server.
MOST_MACHINES, MOST_LABELS = 16, 32
_STORE_MARK, _GATEWAY_MARK, _OFFER_MARK = b"sccachedist 8\n", b"sccachedist 9\n", b"sccachedist 10\n"
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def is_label(text: str) -> bool:
    """Whether a text may be a label."""
    return _LABEL.fullmatch(text) is not None


@attrs.frozen
class ObjectStoreFacts:
    """The object store from which a build server gets toolchains, and in which it keeps those that clients bring.

    :param name: the URL of what it uses there. Servers that tell the same name use the same objects.
    :param trouble: why it cannot be used now; empty if it can.
    """

    name: str
    trouble: str = ""


@attrs.frozen
class GatewayFacts:
    """The workers of a gateway that are connected and take jobs.

    :param cpus: those of all of them. A gateway goes on offering those of a worker that was just lost, for a while.
    """

    workers: int
    cpus: int


@attrs.frozen
class Offer:
    """What a build server takes now, where that depends on more than its CPUs.

    :param slots: how many jobs at a time.
    :param lack: why they are fewer than it has CPUs for, a word of :class:`~sccachedist.outcomes.Lack`; else empty.
    """

    slots: int
    lack: str = ""


@attrs.frozen
class Abilities:
    """What a build server can do and others perhaps cannot.

    :param fetches: whether it fetches a toolchain from a server that has it.
    :param machines: whose programs it runs, by the numbers of ELF; empty if it does not tell.
    :param labels: words of its operator, by which clients may choose servers.
    :param built_for: for which machine each of the report's ``toolchains`` is, in their order, see
        :mod:`sccachedist.wire.machines`; empty if it does not tell.
    :param store: None if it has none.
    :param gateway: None if it is none.
    :param offer: None if it takes as many jobs as it has CPUs for.
    """

    fetches: bool = False
    machines: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    built_for: tuple[int, ...] = ()
    store: ObjectStoreFacts | None = None
    gateway: GatewayFacts | None = None
    offer: Offer | None = None


_ABILITIES = struct(
    Abilities,
    fetches=BOOL,
    machines=sequence(U16, MOST_MACHINES),
    labels=sequence(TEXT, MOST_LABELS),
    built_for=sequence(U16, MOST_TOOLCHAINS),
)
_STORE, _NO_STORE = struct(ObjectStoreFacts, name=TEXT, trouble=TEXT), ObjectStoreFacts("")
_GATEWAY, _OFFER = numbers(GatewayFacts), struct(Offer, slots=U64, lack=TEXT)


class _AbilitiesCodec:
    """Abilities with the object store behind them, then the workers of a gateway, then what it offers.

    A store without a name is none.
    """

    def write(self, value: Abilities, out: bytearray) -> None:
        _ABILITIES.write(value, out)
        if value.store is not None or value.gateway is not None or value.offer is not None:
            out += _STORE_MARK
            _STORE.write(value.store or _NO_STORE, out)
        if value.gateway is not None:
            out += _GATEWAY_MARK
            _GATEWAY.write(value.gateway, out)
        if value.offer is not None:
            out += _OFFER_MARK
            _OFFER.write(value.offer, out)

    def read(self, source: Reader) -> Abilities:
        abilities, rest = _ABILITIES.read(source), source.rest()
        if not rest.startswith(_STORE_MARK):
            return abilities
        more = Reader(rest[len(_STORE_MARK) :])
        store, rest = _STORE.read(more), more.rest()
        gateway = None
        if rest.startswith(_GATEWAY_MARK):
            more = Reader(rest[len(_GATEWAY_MARK) :])
            gateway, rest = _GATEWAY.read(more), more.rest()
        offer = decode(_OFFER, rest[len(_OFFER_MARK) :]) if rest.startswith(_OFFER_MARK) else None
        return attrs.evolve(abilities, store=store if store.name else None, gateway=gateway, offer=offer)

    def to_json(self, value: Abilities) -> Json:
        return _ABILITIES.to_json(value)


ABILITIES = _AbilitiesCodec()
