"""What sets a build server apart from others: a value and its bytes, in a heartbeat behind what it tells of its host.

What follows from it for placement is decided in the scheduler; which values are believed, in
:mod:`sccachedist.scheduler.heartbeat_bounds`.
"""

import re

import attrs

from sccachedist.wire.bincode import BOOL, TEXT, U16, Json, Reader, extended, numbers, sequence, struct
from sccachedist.wire.host_facts import MOST_TOOLCHAINS

#: The most machines and labels of a build server.
MOST_MACHINES, MOST_LABELS = 16, 32
_STORE_MARK, _GATEWAY_MARK = b"sccachedist 8\n", b"sccachedist 9\n"
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
class Abilities:
    """What a build server can do and others perhaps cannot.

    :param fetches: whether it fetches a toolchain from a server that has it.
    :param machines: whose programs it runs, by the numbers of ELF; empty if it does not tell.
    :param labels: words of its operator, by which clients may choose servers.
    :param built_for: for which machine each of the report's ``toolchains`` is, in their order, see
        :mod:`sccachedist.wire.machines`; empty if it does not tell.
    :param store: None if it has none.
    :param gateway: None if it is none.
    """

    fetches: bool = False
    machines: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    built_for: tuple[int, ...] = ()
    store: ObjectStoreFacts | None = None
    gateway: GatewayFacts | None = None


_NO_STORE = ObjectStoreFacts("")
_ABILITIES = extended(
    struct(
        Abilities,
        fetches=BOOL,
        machines=sequence(U16, MOST_MACHINES),
        labels=sequence(TEXT, MOST_LABELS),
        built_for=sequence(U16, MOST_TOOLCHAINS),
    ),
    _STORE_MARK,
    extended(struct(ObjectStoreFacts, name=TEXT, trouble=TEXT), _GATEWAY_MARK, numbers(GatewayFacts)),
)


class _AbilitiesCodec:
    """Abilities with the object store behind them, and behind that the workers. A store without a name is none."""

    def write(self, value: Abilities, out: bytearray) -> None:
        is_more = value.store is not None or value.gateway is not None
        _ABILITIES.write((value, (value.store or _NO_STORE, value.gateway) if is_more else None), out)

    def read(self, source: Reader) -> Abilities:
        abilities, more = _ABILITIES.read(source)
        if more is None:
            return abilities
        store, gateway = more
        return attrs.evolve(abilities, store=store if store.name else None, gateway=gateway)

    def to_json(self, value: Abilities) -> Json:
        return _ABILITIES.to_json((value, None))


ABILITIES = _AbilitiesCodec()
