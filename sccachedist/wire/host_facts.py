"""What a build server tells of its host: a value and its bytes.

Which numbers are believed is decided in :mod:`sccachedist.scheduler.heartbeat_bounds`.
"""

import struct as layout

import attrs

from sccachedist.wire.bincode import TEXT, U64, Json, Reader, pair, sequence
from sccachedist.wire.machines import name_of

#: The most toolchains of a list, and the most uploads under way that are told.
MOST_TOOLCHAINS, MOST_UPLOADS = 16_384, 64
#: Stands for a number that is not known.
_UNKNOWN = (1 << 64) - 1


@attrs.frozen
class HostFacts:
    """The host of a build server. A number is None if it is not known.

    :param name: of the host; empty if it has none.
    :param machine: ELF's number of the machine that it compiles on; 0 if it is not known.
    :param load: how many processes ran or waited for a CPU or a disk in the last minute, in thousandths.
    :param memory_free: bytes that processes can still get; ``memory_total``: bytes of memory.
    :param cache_free: bytes that are free where ``cache_dir`` lies; ``build_free``: where ``build_dir`` lies.
    :param uploads: archive ids of toolchains that clients are bringing, with the bytes that are there.
    :param sizes: the bytes of each of the report's ``toolchains``, in their order; empty if it does not tell.
    """

    name: str = ""
    machine: int = 0
    load: int | None = None
    memory_free: int | None = None
    memory_total: int | None = None
    cache_free: int | None = None
    build_free: int | None = None
    uploads: tuple[tuple[str, int], ...] = ()
    sizes: tuple[int, ...] = ()

    @property
    def numbers(self) -> tuple[int | None, ...]:
        """All that is a number and may be unknown, in the order of the wire."""
        return self.load, self.memory_free, self.memory_total, self.cache_free, self.build_free

    @property
    def machine_name(self) -> str | None:
        """What others call the machine; None if it is not known."""
        return name_of(self.machine)


_UPLOADS = sequence(pair(TEXT, U64), MOST_UPLOADS)
_SIZES = sequence(U64, MOST_TOOLCHAINS)
_NUMBERS = layout.Struct("<H5Q")  # packed at once: it comes with each heartbeat


class _HostFactsCodec:
    def write(self, value: HostFacts, out: bytearray) -> None:
        TEXT.write(value.name, out)
        out += _NUMBERS.pack(value.machine, *(_UNKNOWN if number is None else number for number in value.numbers))
        _UPLOADS.write(value.uploads, out)
        _SIZES.write(value.sizes, out)

    def read(self, source: Reader) -> HostFacts:
        name = TEXT.read(source)
        machine, *numbers = _NUMBERS.unpack(source.take(_NUMBERS.size))
        load, free, total, cache, build = (None if number == _UNKNOWN else number for number in numbers)
        return HostFacts(name, machine, load, free, total, cache, build, _UPLOADS.read(source), _SIZES.read(source))

    def to_json(self, value: HostFacts) -> Json:
        return {"name": value.name}


HOST_FACTS = _HostFactsCodec()
