"""What is shipped for containers: files that agree with each other, few rights, and a page that names them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from sccachedist.config import load_scheduler_settings, load_server_settings
from scripts.container_seccomp import NEEDED, OF_AARCH64, PROFILE, REFUSED, allowed, profile

CHECKOUT = Path(__file__).parents[1]
FOLDER = CHECKOUT / "contrib/containers"
PAGE = (CHECKOUT / "doc/containers.rst").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVERS = ["server-1", "server-2"]
KEY = "A" * 43
#: What Docker says of a container, in short: two calls are free, one of them is bound, one has an error of its own.
DEFAULT = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "architectures": ["SCMP_ARCH_X86_64"],
    "syscalls": [
        {"names": ["read", "io_uring_setup"], "action": "SCMP_ACT_ALLOW"},
        {
            "names": ["clone", "socket"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}],
        },
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
    ],
}


def address(service: str) -> str:
    """The one that Compose gives to a container."""
    return str(SERVICES[service]["networks"]["farm"]["ipv4_address"])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the folder, with secrets in it."""
    shutil.copytree(FOLDER, tmp_path / "farm")
    for name in ("scheduler/client.token", "scheduler/metrics.token", "scheduler/server.key"):
        (tmp_path / "farm" / name).write_text(KEY)
    for name in SERVERS:
        (tmp_path / "farm" / name / "server.token").write_text(KEY)
    return tmp_path / "farm"


def test_addresses(files: Path) -> None:
    """Each role is where Compose puts its container; build servers and Prometheus know where the scheduler is."""
    scheduler = load_scheduler_settings(files / "scheduler/scheduler.conf")
    assert str(scheduler.public_addr.host) == address("scheduler")
    assert scheduler.metrics.address is not None
    for name in SERVERS:
        server = load_server_settings(files / name / "server.conf")
        assert (str(server.public_addr.host), server.scheduler_url) == (
            address(name),
            f"http://{scheduler.public_addr}",
        )
        assert server.metrics.address is not None
        assert f"--server {server.public_addr} " in PAGE
    prometheus = yaml.safe_load((files / "monitoring/prometheus.yml").read_text())
    known, found = prometheus["scrape_configs"]
    assert known["static_configs"] == [{"targets": [str(scheduler.public_addr)]}]
    assert found["http_sd_configs"][0]["url"] == f"http://{scheduler.public_addr}/metrics/targets"
    assert f'scheduler_url = "http://{scheduler.public_addr}"' in PAGE


@pytest.mark.parametrize("name", SERVICES)
def test_rights(name: str) -> None:
    """No service has capabilities or may get more; a build server alone has grants, which the page explains."""
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "privileged" not in service
    assert "cap_add" not in service
    granted = set(service["security_opt"]) - {"no-new-privileges=true"}
    assert len(granted) == len(service["security_opt"]) - 1
    assert granted == (
        {f"seccomp={PROFILE.name}", "systempaths=unconfined", "apparmor=unconfined"} if name in SERVERS else set()
    )
    for option in granted:
        assert f"--security-opt {option.replace('seccomp=', 'seccomp=contrib/containers/')}" in PAGE


def test_containers_have_the_shipped_files() -> None:
    """What is mounted from this folder is there, or the page makes it."""
    mounts = [mount for service in SERVICES.values() for mount in service["volumes"] if mount.startswith("./")]
    made = {"./monitoring/alerts.yml", "./monitoring/metrics.token", "./monitoring/dashboards"}
    assert {mount.split(":")[0] for mount in mounts if not (FOLDER / mount.split(":")[0]).exists()} == made
    assert all(name.removeprefix("./").split("/")[-1] in PAGE for name in made)


def test_a_profile_of_dockers() -> None:
    """The calls of a sandbox are free, errors stay as they are, and what was bound stays bound."""
    made = profile(DEFAULT)
    free, bound = allowed(made)
    assert free == {"read", *NEEDED, *OF_AARCH64}
    assert [rule["names"] for rule in bound] == [["socket"]]
    assert DEFAULT["syscalls"][2] in made["syscalls"]
    assert made["defaultAction"] == "SCMP_ACT_ERRNO"


def test_the_profile() -> None:
    """It refuses what it does not name, and ``clone3``, whose flags no filter sees, as if the kernel had none."""
    shipped = json.loads(PROFILE.read_text())
    free, bound = allowed(shipped)
    assert shipped["defaultAction"] == "SCMP_ACT_ERRNO"
    assert set(NEEDED) <= free
    assert not free & {"clone3", "bpf", "keyctl", "init_module", "mount_setattr", *REFUSED}
    assert {rule["names"][0] for rule in bound} == {"personality", "socket"} - free
    [error] = [rule for rule in shipped["syscalls"] if "clone3" in rule["names"]]
    assert error["errnoRet"] == 38
