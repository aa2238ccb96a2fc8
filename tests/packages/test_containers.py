"""A farm in containers, by the page's commands, Compose and the shipped files: it compiles, and says what it lacks.

What cannot be run here, for its images are elsewhere, is read by the programs that know its form.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml

from farmkit.launch import CHECKOUT
from farmkit.processes import wait_until
from farmkit.projects import C, write_project
from farmkit.published_client import Client
from scripts.container_seccomp import NEEDED, OF_AARCH64, PROFILE, REFUSED, allowed
from tests.packages.conftest import Farm
from tests.support.own_network import network_of

pytestmark = [pytest.mark.functional, pytest.mark.packages]

SERVERS = {"server-1": "172.28.106.11:10501", "server-2": "172.28.106.12:10501"}
SERVICES = ("scheduler", *SERVERS)
SHIPPED = CHECKOUT / "contrib/containers"
CONFIG = "/etc/sccachedist/server.conf"
DOCTOR = ("doctor", "--config", CONFIG)
KEPT = "/var/lib/sccachedist"
#: The volume of a build server, as its service has it.
VOLUME = f"server-1:{KEPT}"
NO_NAMESPACES = {"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}


_PACK_SECS = 600


@pytest.fixture(scope="module")
def running(farm: Farm) -> Iterator[Farm]:
    """The farm, with both build servers registered; nothing but the volumes is left of it."""
    farm.follow("start", farm.folder)
    try:
        for name in SERVERS:
            wait_until(partial(is_ready, farm, name), 300, "it is registered")
        yield farm
    finally:
        print(farm.compose("logs", "--tail=30"))
        farm.follow("stop", farm.folder)
        assert farm.engine.docker("ps", "--all", "--quiet") == ""
        assert "farm" not in farm.engine.docker("network", "ls", "--format={{.Name}}")


def is_ready(farm: Farm, name: str) -> bool:
    """Whether a build server takes jobs, as it says in its network."""
    url = f"http://{SERVERS[name].replace(':10501', ':10502')}/readyz"
    with network_of(farm.engine.process), suppress(OSError), urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def doctor(farm: Farm, change: Callable[[dict[str, Any]], None] = lambda service: None) -> dict[str, str]:
    """What it says of each check in a container that has been changed: the level, then the rest of the line."""
    found = [re.fullmatch(r"(\w+) +([\w. ]+): (.*)", line) for line in farm.once(change, *DOCTOR)]
    assert all(found), found
    return {each[2]: f"{each[1]} {each[3]}" for each in found if each}


def test_a_client_compiles_in_both(running: Farm, tmp_path: Path, toolchains: Path) -> None:
    """All as the page says: the doctor is content; whichever build server stops, in time, the other one compiles."""
    engine, compose = running.engine, running.compose
    said = running.follow("doctor", running.folder)
    assert "FAILED" not in said
    assert len(re.findall(r"(?m)^ok +(?:sandbox|scheduler|token|sender|public_addr|cache_dir): ", said)) == 6, said
    for name in SERVICES:
        assert compose("exec", name, "python", "/opt/sccachedist/healthcheck.py").startswith("sccachedist ")
        status = compose("exec", name, "cat", "/proc/1/status")
        assert re.findall(r"(?m)^(?:Uid|CapBnd|NoNewPrivs|Seccomp):\s+(\S+)", status) == ["10600", "0" * 16, "1", "2"]

    project = write_project(tmp_path / "project", C, 1)
    token = (running.folder / "scheduler/client.token").read_text().strip()
    names = {address: name for name, address in SERVERS.items()}
    user = Client(tmp_path, "http://172.28.106.10:10600", token, toolchains)
    with network_of(engine.process), user as client:
        for _ in SERVERS:
            before = client.statistics()
            ended = client.compiling(project.compile_command(project.sources[0]), project.folder).run(_PACK_SECS)
            assert ended.returncode == 0, ended
            [address] = client.statistics().servers_since(before)
            compose("stop", names.pop(address))
        assert client.statistics().errors == 0
    compose("stop", "scheduler")
    for name in SERVICES:
        [container] = compose("ps", "--all", "--quiet", name).split()
        state = json.loads(engine.docker("inspect", "--format={{json .State}}", container))
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False), state
        assert "Unable to write to plugin cache" not in compose("logs", name)


def test_all_is_granted(farm: Farm) -> None:
    """But for control groups, of which the doctor says how they are had."""
    told = doctor(farm)
    assert told["sandbox"].startswith("ok ")
    assert told["builder.build_dir"].startswith("ok ")
    assert told["configuration"].startswith("ok ")
    assert told["limit of memory"].startswith("warning ")
    assert "--security-opt writable-cgroups=true" in told["limit of memory"]


def test_a_directory_that_forbids_programs(farm: Farm) -> None:
    """A tmpfs of Docker's, by default noexec, will do: compilers run from an overlay above it."""

    def change(service: dict[str, Any]) -> None:
        service["volumes"].remove(VOLUME)
        service["tmpfs"] = f"{KEPT}:uid=10600,mode=700"

    assert doctor(farm, change)["sandbox"].startswith("ok ")


@pytest.mark.parametrize(
    ("option", "text", "flag"),
    [
        ("seccomp=seccomp.json", "a seccomp filter forbids user namespaces", "--security-opt seccomp=seccomp.json"),
        ("systempaths=unconfined", "masks on /proc", "--security-opt systempaths=unconfined"),
    ],
)
def test_a_grant_is_missing(farm: Farm, option: str, text: str, flag: str) -> None:
    """One line says which, and how it is granted."""
    told = doctor(farm, lambda service: service["security_opt"].remove(option))["sandbox"]
    assert told.startswith(f"FAILED {text}")
    assert flag in told


@pytest.mark.parametrize(
    ("mounted", "text", "flag"),
    [
        ({"volumes": [f"{VOLUME}:ro"]}, "Read-only file system", "docker run --volume"),
        ({"tmpfs": f"{KEPT}:mode=755"}, "Permission denied", "chown 10600"),
    ],
)
def test_nothing_can_be_written(farm: Farm, mounted: dict[str, Any], text: str, flag: str) -> None:
    """A volume that is missing or is another user's is named, with its directory."""

    def change(service: dict[str, Any]) -> None:
        service["volumes"].remove(VOLUME)
        service["volumes"] += mounted.get("volumes", [])
        service |= {key: value for key, value in mounted.items() if key != "volumes"}

    told = doctor(farm, change)
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

    def change(service: dict[str, Any]) -> None:
        service["security_opt"].remove("seccomp=seccomp.json")
        service["security_opt"].append(f"seccomp={tmp_path / 'profile'}")

    told = doctor(farm, change)["sandbox"]
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


def test_compose_reads_it(farm: Farm) -> None:
    """Compose finds no fault, and knows the same services, those of the profile among them."""
    read = yaml.safe_load(farm.compose("--profile", "monitoring", "config"))
    assert read["services"].keys() == farm.document["services"].keys()


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
