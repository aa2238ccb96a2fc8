"""Whether the programs of a toolchain run at a build server, as far as that is known."""

import pytest

from sccachedist.builders.machines import Machines
from sccachedist.errors import ForeignToolchain
from sccachedist.wire.archive_id import ArchiveId
from sccachedist.wire.machines import ANY, UNKNOWN

GCC, CLANG = ArchiveId("0c" * 32), ArchiveId("0d" * 32)


@pytest.mark.parametrize(
    ("here", "machine"), [((62, 3), 62), ((62, 3), 3), ((62, 183), 183), ((62,), ANY), ((62,), UNKNOWN), ((), 183)]
)
def test_runs(here: tuple[int, ...], machine: int) -> None:
    """It may run if it needs a machine that is here, or none, or if nothing is known of either."""
    machines = Machines(here)
    machines.check(GCC)
    machines.unpacked(GCC, machine)
    machines.check(GCC)


def test_does_not_run() -> None:
    """For another machine it does not, until it is forgotten or the machine can be emulated."""
    told: list[tuple[ArchiveId, int]] = []
    machines = Machines((62, 3), lambda *news: told.append(news))
    machines.unpacked(GCC, 183)
    machines.unpacked(CLANG, 99)
    assert told == [(GCC, 183), (CLANG, 99)]
    with pytest.raises(ForeignToolchain, match="is for aarch64, and this build server is for x86_64, i686") as caught:
        machines.check(GCC)
    assert caught.value.kind == "aarch64"
    machines.here = (62, 183)
    machines.check(GCC)
    with pytest.raises(ForeignToolchain, match="is for ELF 99, and this build server is for x86_64, aarch64"):
        machines.check(CLANG)
    machines.removed(CLANG)
    machines.removed(CLANG)
    machines.check(CLANG)
    machines.here = (3,)
    machines.forget_all()
    machines.check(GCC)
