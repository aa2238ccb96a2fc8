"""What cannot be run here, for its images are elsewhere, is read by the programs that know its form."""

import subprocess
from pathlib import Path

import pytest
import yaml

from farmkit.launch import CHECKOUT
from tests.packages.conftest import Farm

pytestmark = [pytest.mark.functional, pytest.mark.packages]

FOLDER = CHECKOUT / "contrib/containers"


def test_compose_reads_it() -> None:
    """It finds no fault, and knows the same services, those of the profile among them."""
    command = ["docker-compose", "--profile", "monitoring", "config"]
    read = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False)
    assert read.returncode == 0, read.stderr
    shipped = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    assert yaml.safe_load(read.stdout)["services"].keys() == shipped.keys()


def test_prometheus_reads_it(farm: Farm, tmp_path: Path) -> None:
    """Its file and the alerts, where Compose shows them to it."""
    for mount in yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["prometheus"]["volumes"]:
        source, place, *_ = mount.split(":")
        if source.startswith("./") and not source.endswith(".token"):
            (tmp_path / Path(place).name).write_text((farm.folder / source).read_text())
    (tmp_path / "metrics.token").write_text("secret")
    read = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, timeout=60
    )
    assert read.returncode == 0, read
