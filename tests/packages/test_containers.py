"""A farm in containers, by the page's commands and the shipped files: it compiles, and says what it lacks.

What cannot be run here, for its images are elsewhere, is read by the programs that know its form.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml

from farmkit.launch import CHECKOUT
from farmkit.processes import wait_until
from farmkit.projects import C, write_project
from farmkit.published_client import Client
from scripts.container_seccomp import NEEDED, OF_AARCH64, PROFILE, REFUSED, allowed
from tests.packages.compose_file import Service
from tests.packages.conftest import Farm, commands
from tests.support.own_network import network_of

pytestmark = [pytest.mark.functional, pytest.mark.packages]

SERVERS = {"server-1": "172.28.106.11:10501", "server-2": "172.28.106.12:10501"}
SHIPPED = CHECKOUT / "contrib/containers"
CONFIG = "/etc/sccachedist/server.conf"
DOCTOR = ("doctor", "--config", CONFIG)
KEPT = "/var/lib/sccachedist"
NO_NAMESPACES = {"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}


_PACK_SECS = 600


@pytest.fixture(scope="module")
def running(farm: Farm) -> Iterator[Farm]:
    """The farm, with both build servers registered."""
    farm.start()
    try:
        for name in SERVERS:
            wait_until(partial(is_ready, farm, name), 300, "it is registered")
        yield farm
    finally:
        for name in farm.services:
            print(name, farm.engine.docker("logs", "--tail=30", name))
            farm.engine.docker("rm", "--force", name)


def is_ready(farm: Farm, name: str) -> bool:
    """Whether a build server takes jobs, as it says in its network."""
    url = f"http://{SERVERS[name].replace(':10501', ':10502')}/readyz"
    with network_of(farm.engine.process), suppress(OSError), urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def doctor(farm: Farm, service: Service) -> dict[str, str]:
    """What it says of each check in a container: the level, then the rest of the line."""
    found = [re.fullmatch(r"(\w+) +([\w. ]+): (.*)", line) for line in farm.once(service, *DOCTOR)]
    assert all(found), found
    return {each[2]: f"{each[1]} {each[3]}" for each in found if each}


def test_a_client_compiles_in_both(running: Farm, tmp_path: Path) -> None:
    """All as the page says: the doctor is content; whichever build server stops, in time, the other one compiles."""
    engine = running.engine
    [asked] = [line for line in commands("start") if "exec" in line]
    said = engine.docker(*asked.replace("docker compose ", "").split())
    assert "FAILED" not in said
    assert len(re.findall(r"(?m)^ok +(?:sandbox|scheduler|token|sender|public_addr|cache_dir): ", said)) == 6, said
    for name in running.services:
        assert engine.docker("exec", name, "python", "/opt/sccachedist/healthcheck.py").startswith("sccachedist ")
        status = engine.docker("exec", name, "cat", "/proc/1/status")
        assert re.findall(r"(?m)^(?:Uid|CapBnd|NoNewPrivs|Seccomp):\s+(\S+)", status) == ["10600", "0" * 16, "1", "2"]

    project = write_project(tmp_path / "project", C, 1)
    token = (running.folder / "scheduler/client.token").read_text().strip()
    names = {address: name for name, address in SERVERS.items()}
    user = Client(tmp_path, "http://172.28.106.10:10600", token, tmp_path / "toolchains")
    with network_of(engine.process), user as client:
        for _ in SERVERS:
            before = client.statistics()
            ended = client.compiling(project.compile_command(project.sources[0]), project.folder).run(_PACK_SECS)
            assert ended.returncode == 0, ended
            [address] = client.statistics().servers_since(before)
            engine.docker("stop", names.pop(address))
        assert client.statistics().errors == 0
    engine.docker("stop", "scheduler")
    for name in running.services:
        state = json.loads(engine.docker("inspect", "--format={{json .State}}", name))
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False), state
        assert "Unable to write to plugin cache" not in engine.docker("logs", name)


def test_all_is_granted(farm: Farm) -> None:
    """But for control groups, of which the doctor says how they are had."""
    told = doctor(farm, without_network(farm.services["server-1"]))
    assert told["sandbox"].startswith("ok ")
    assert told["builder.build_dir"].startswith("ok ")
    assert told["configuration"].startswith("ok ")
    assert told["limit of memory"].startswith("warning ")
    assert "--security-opt writable-cgroups=true" in told["limit of memory"]


def test_a_directory_that_forbids_programs(farm: Farm) -> None:
    """A tmpfs of Docker's, by default noexec, will do: compilers run from an overlay above it."""
    service = without_network(farm.services["server-1"])
    [volume] = [each for each in service.options if each.endswith(f":{KEPT}")]
    told = doctor(farm, service.without(volume).with_(f"--tmpfs={KEPT}:uid=10600,mode=700"))
    assert told["sandbox"].startswith("ok ")


def without_network(service: Service) -> Service:
    """A container beside those of the farm."""
    for each in service.options:
        if each.startswith(("--network=", "--ip=")):
            service = service.without(each)
    return service.with_("--network=none")


@pytest.mark.parametrize(
    ("option", "text", "flag"),
    [
        ("--security-opt=seccomp=", "a seccomp filter forbids user namespaces", "--security-opt seccomp=seccomp.json"),
        ("--security-opt=systempaths=unconfined", "masks on /proc", "--security-opt systempaths=unconfined"),
    ],
)
def test_a_grant_is_missing(farm: Farm, option: str, text: str, flag: str) -> None:
    """One line says which, and how it is granted."""
    service = without_network(farm.services["server-1"])
    [granted] = [each for each in service.options if each.startswith(option)]
    told = doctor(farm, service.without(granted))["sandbox"]
    assert told.startswith(f"FAILED {text}")
    assert flag in told


@pytest.mark.parametrize(
    ("mounted", "text", "flag"),
    [
        ("--volume=kept:/var/lib/sccachedist:ro", "Read-only file system", "docker run --volume"),
        ("--tmpfs=/var/lib/sccachedist:mode=755", "Permission denied", "chown 10600"),
    ],
)
def test_nothing_can_be_written(farm: Farm, mounted: str, text: str, flag: str) -> None:
    """A volume that is missing or is another user's is named, with its directory."""
    service = without_network(farm.services["server-1"])
    [volume] = [each for each in service.options if each.endswith(f":{KEPT}")]
    told = doctor(farm, service.without(volume).with_(mounted))
    for check, directory in (("cache_dir", "cache"), ("builder.build_dir", "build")):
        assert told[check].startswith(f"FAILED {KEPT}/{directory} cannot be written: {text}")
        assert flag in told[check]


@pytest.mark.parametrize("call", NEEDED)
def test_each_call_is_needed(farm: Farm, tmp_path: Path, call: str) -> None:
    """Without any of the six there are no sandboxes, and a filter is named as the cause."""
    profile = json.loads(PROFILE.read_text())
    profile["syscalls"][0]["names"].remove(call)
    if call == "clone":  # without new namespaces, as Docker's own: else there are no processes at all
        profile["syscalls"].append({"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [NO_NAMESPACES]})
    (tmp_path / "profile").write_text(json.dumps(profile))
    service = without_network(farm.services["server-1"])
    [given] = [each for each in service.options if each.startswith("--security-opt=seccomp=")]
    told = doctor(farm, service.without(given).with_(f"--security-opt=seccomp={tmp_path / 'profile'}"))["sandbox"]
    assert told.startswith("FAILED ")
    assert "--security-opt seccomp=seccomp.json" in told


def test_the_profile_is_dockers(farm: Farm) -> None:
    """Of the calls that this engine's own profile refuses, it allows the six, and what only another machine has."""
    engine = farm.engine
    run = ("run", "--detach", "--network=none", "--cap-drop=ALL", "--entrypoint=sleep", "sccachedist", "600")
    container = engine.docker(*run).strip()
    [bundle] = engine.home.glob(f"exec/**/{container}/config.json")
    theirs, theirs_bound = allowed(json.loads(bundle.read_text())["linux"]["seccomp"])
    ours, ours_bound = allowed(json.loads(PROFILE.read_text()))
    assert ours - theirs - set(OF_AARCH64) == set(NEEDED)
    assert not ours & set(REFUSED)
    assert [rule for rule in ours_bound if rule not in theirs_bound] == []
    engine.docker("rm", "--force", container)


def test_compose_reads_it() -> None:
    """Compose finds no fault, and knows the same services, those of the profile among them."""
    command = ["docker-compose", "--profile", "monitoring", "config"]
    read = subprocess.run(command, cwd=SHIPPED, capture_output=True, text=True, timeout=120, check=False)
    assert read.returncode == 0, read.stderr
    shipped = yaml.safe_load((SHIPPED / "compose.yaml").read_text())["services"]
    assert yaml.safe_load(read.stdout)["services"].keys() == shipped.keys()


def test_prometheus_reads_it(farm: Farm, tmp_path: Path) -> None:
    """Prometheus takes its file and the alerts, where Compose shows them to it."""
    for mount in yaml.safe_load((SHIPPED / "compose.yaml").read_text())["services"]["prometheus"]["volumes"]:
        source, place, *_ = mount.split(":")
        if source.startswith("./") and not source.endswith(".token"):
            (tmp_path / Path(place).name).write_text((farm.folder / source).read_text())
    (tmp_path / "metrics.token").write_text("secret")
    read = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, timeout=60
    )
    assert read.returncode == 0, read
