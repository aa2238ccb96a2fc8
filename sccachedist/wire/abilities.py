"""What sets a build server apart from others: a value and its bytes, in a heartbeat behind what it tells of its host.

What follows from it for placement is decided in the scheduler; which values are believed, in
:mod:`sccachedist.scheduler.heartbeat_bounds`.
"""

import re

import attrs

from sccachedist.wire.bincode import BOOL, TEXT, U16, Json, Reader, extended, sequence, struct
from sccachedist.wire.host_facts import MOST_TOOLCHAINS

#: The most machines and labels of a build server.
MOST_MACHINES, MOST_LABELS = 16, 32
_STORE_MARK = b"sccachedist 8\n"
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
class Abilities:
    """What a build server can do and others perhaps cannot.

    :param fetches: whether it fetches a toolchain from a server that has it.
    :param machines: whose programs it runs, by the numbers of ELF; empty if it does not tell.
    :param labels: words of its operator, by which clients may choose servers.
    :param built_for: for which machine each of the report's ``toolchains`` is, in their order, see
        :mod:`sccachedist.wire.machines`; empty if it does not tell.
    :param store: None if it has none.
    """

    fetches: bool = False
    machines: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    built_for: tuple[int, ...] = ()
    store: ObjectStoreFacts | None = None


_ABILITIES = extended(
    struct(
        Abilities,
        fetches=BOOL,
        machines=sequence(U16, MOST_MACHINES),
        labels=sequence(TEXT, MOST_LABELS),
        built_for=sequence(U16, MOST_TOOLCHAINS),
    ),
    _STORE_MARK,
    struct(ObjectStoreFacts, name=TEXT, trouble=TEXT),
)


class _AbilitiesCodec:
    """Abilities with the object store behind them."""

    def write(self, value: Abilities, out: bytearray) -> None:
        _ABILITIES.write((value, value.store), out)

    def read(self, source: Reader) -> Abilities:
        abilities, store = _ABILITIES.read(source)
        return abilities if store is None else attrs.evolve(abilities, store=store)

    def to_json(self, value: Abilities) -> Json:
        return _ABILITIES.to_json((value, None))


ABILITIES = _AbilitiesCodec()
