"""The two sides of every comparison: a farm of the published daemons and one of our own, with equal settings.

Each has fresh folders and a meter. Only the cases know what the farms have to do.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from bench.meters import Meter, meter
from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER, PUBLISHED_SCHEDULER, PUBLISHED_SERVER, Launch
from farmkit.load_client import LoadClient

#: Lets our scheduler take jobs that are never run, and build servers, practically without limit, as the published does.
UNCLAIMED = "[limits]\nunclaimed_jobs = 1_000_000\nservers_per_address = 10_000\n"


@attrs.frozen
class Role:
    """How both daemons of a side are started."""

    name: str
    scheduler: Launch
    server: Launch


PUBLISHED = Role("published", PUBLISHED_SCHEDULER, PUBLISHED_SERVER)
OURS = Role("ours", OUR_SCHEDULER, OUR_SERVER)


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
def both(*, with_servers: bool = True) -> Iterator[tuple[Side, Side]]:
    """Run the published side and ours, in a folder that is removed afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        side(PUBLISHED, Path(folder), with_server=with_servers) as published,
        side(OURS, Path(folder), with_server=with_servers, scheduler_settings=UNCLAIMED) as ours,
    ):
        yield published, ours
