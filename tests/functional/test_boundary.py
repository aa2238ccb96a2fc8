"""What runs in which process: the daemons never load what reads strangers' files, the workers never Twisted."""

from pathlib import Path

import pytest

from farmkit.farm import Farm
from farmkit.launch import OUR_SCHEDULER, OUR_SERVER
from farmkit.published_client import Client
from tests.support.loaded import WORKERS, loaded_by, names_in, noted

pytestmark = pytest.mark.functional


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    """A farm that notes what it loads."""
    place = tmp_path / "farm"
    place.mkdir()
    return Farm(place, noted(OUR_SCHEDULER), noted(OUR_SERVER))


def below(names: set[str], *packages: str) -> set[str]:
    """Those of the modules that lie in some packages."""
    return {name for name in names if name.startswith(tuple(f"{package}." for package in packages))}


def test_a_job_crosses_one_boundary(farm: Farm, toolchains: Path, tmp_path: Path) -> None:
    """A compile by the published client, from the daemons' start to their end."""
    (tmp_path / "x.c").write_text("int x;\n")
    with farm, Client(tmp_path / "client", farm.scheduler_url, farm.client_token, toolchains) as client:
        assert client.compiling(("gcc", "-c", "x.c", "-o", "x.o"), tmp_path).run().returncode == 0
        assert client.statistics().total_remote == 1
        worker = names_in(farm.server_folder / "build" / "sccachedist" / WORKERS)
    scheduler, server = (loaded_by(farm.folder / role) for role in ("scheduler", "server"))
    assert below(worker, "twisted", "sccachedist.daemon", "sccachedist.server", "sccachedist.web") == set()
    assert "sccachedist.sandbox.archive.unpack" in worker
    shared = {"sccachedist.sandbox.overlay", "sccachedist.sandbox.programs"}
    shared |= {"sccachedist.sandbox.overlay.layout", "sccachedist.sandbox.overlay.worker_groups"}
    shared |= {"sccachedist.sandbox.programs.probe"}
    assert below(server, "sccachedist.sandbox") == shared
    assert below(scheduler, "sccachedist.sandbox", "sccachedist.builders", "sccachedist.server") == set()
    assert below(server, "sccachedist.scheduler") == set()
