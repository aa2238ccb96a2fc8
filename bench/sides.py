"""The two sides of every comparison: a farm of the other daemons and one of our own, with equal settings.

The others are the published ones, or ours of an older checkout. Each side has fresh folders and a meter. Only the cases
know what the farms have to do.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from bench.meters import Meter, meter
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PUBLISHED_SCHEDULER, PUBLISHED_SERVER, Launch, twistd
from farmkit.load_client import LoadClient

#: Lets our scheduler take jobs that are never run, and fake build servers, practically without limit.
UNCLAIMED = "[limits]\nunclaimed_jobs = 1_000_000\nservers_per_address = 10_000\n"


@attrs.frozen
class Role:
    """How both daemons of a side are started, and whether they speak with each other as ours do."""

    name: str
    scheduler: Launch
    server: Launch
    is_ours: bool = True


PUBLISHED = Role("published", PUBLISHED_SCHEDULER, PUBLISHED_SERVER, is_ours=False)
OURS = Role("ours", OUR_SCHEDULER, OUR_SERVER)


def before(checkout: Path) -> Role:
    """Our daemons of another checkout, in the environment that its ``scripts/setup.sh`` makes."""
    return Role("before", twistd("sccache-scheduler", checkout), twistd("sccache-server", checkout))


@attrs.frozen
class Side:
    """A farm, a client for it, and a meter of what its daemons cost."""

    name: str
    farm: Farm
    client: LoadClient
    meter: Meter

    @property
    def archives(self) -> Path:
        """The folder in which its build server keeps toolchains."""
        return self.farm.server_folder / "cache" / "tc"


@contextlib.contextmanager
def side(
    role: Role, folder: Path, *, with_server: bool = True, scheduler_settings: str = "", server_settings: str = ""
) -> Iterator[Side]:
    """Run a side; without a build server it has a scheduler alone."""
    place = folder / role.name
    place.mkdir()
    with meter() as counted:
        launches = counted.metered(role.scheduler), counted.metered(role.server)
        farm = Farm(place, *launches, scheduler_settings=scheduler_settings, server_settings=server_settings)
        try:
            farm.start_scheduler()
            if with_server:
                farm.start_server()
            yield Side(role.name, farm, LoadClient.of(farm), counted)
        finally:
            farm.stop()


@contextlib.contextmanager
def both(other: Role, *, with_servers: bool = True) -> Iterator[tuple[Side, Side]]:
    """Run the other side and ours, in a folder that is removed afterwards."""

    def run(role: Role) -> contextlib.AbstractContextManager[Side]:
        settings = UNCLAIMED if role.is_ours and not with_servers else ""
        return side(role, Path(folder), with_server=with_servers, scheduler_settings=settings)

    with tempfile.TemporaryDirectory(prefix="bench-") as folder, run(other) as first, run(OURS) as ours:
        yield first, ours
