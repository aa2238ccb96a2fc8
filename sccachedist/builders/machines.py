"""Which machine each unpacked toolchain needs, and whether its programs run here.

Pure. Who unpacks them is in :mod:`sccachedist.builders.worker_builder`, what is made of the news beyond this host,
in the toolchain cache.
"""

from collections.abc import Callable

import attrs

from sccachedist.errors import ForeignToolchain
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.machines import ANY, UNKNOWN, name_of, names_of

#: Called with a toolchain and the machine that it needs, see :mod:`sccachedist.wire.machines`.
Looked = Callable[[ArchiveId, int], None]


def unheard(toolchain: ArchiveId, machine: int) -> None:
    """Ignore what is told."""


@attrs.define
class Machines:
    """The machines of one builder.

    :param here: those whose programs run here; empty if that is not known: then all are tried.
    :param looked: is told of each toolchain that was unpacked.
    """

    here: tuple[int, ...] = ()
    looked: Looked = unheard
    _needed: dict[ArchiveId, int] = attrs.field(factory=dict, init=False)

    def unpacked(self, toolchain: ArchiveId, machine: int) -> None:
        """Note which machine a toolchain needs."""
        self._needed[toolchain] = machine
        self.looked(toolchain, machine)

    def removed(self, toolchain: ArchiveId) -> None:
        """Forget a toolchain."""
        self._needed.pop(toolchain, None)

    def forget_all(self) -> None:
        """Forget all toolchains."""
        self._needed.clear()

    def check(self, toolchain: ArchiveId) -> None:
        """Check that the programs of a toolchain run here, as far as that is known.

        :raises ForeignToolchain: they do not.
        """
        machine = self._needed.get(toolchain, UNKNOWN)
        if self.here and machine not in (UNKNOWN, ANY, *self.here):
            word, runs = name_of(machine) or "", names_of(self.here)
            raise ForeignToolchain(word, f"the toolchain is for {word}, and this build server is for {runs}")
