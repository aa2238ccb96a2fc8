"""The chart's pods, as containers of Docker: a published client compiles at a build server, and through a gateway."""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import attrs
import pytest

from farmkit.processes import wait_until
from farmkit.projects import C, write_project
from farmkit.published_client import Client
from tests.packages.chart import MINIMAL, NAMESPACE, RELEASE, Rendered
from tests.packages.conftest import Farm
from tests.packages.pods import Pod
from tests.support.own_network import network_of

pytestmark = [pytest.mark.functional, pytest.mark.packages]

NETWORK, SUBNET = "pods", "172.28.107.0/24"
SCHEDULER, SERVER, GATEWAY, WORKER = (f"172.28.107.{number}" for number in (10, 11, 12, 13))
SECRETS = {
    "client.token": "clienttok",
    "server.token": "servertok",
    "workers": "worktok\n",
    "worker.token": "worktok\n",
}
VALUES = (
    "--set=gateway.enabled=true",
    f"--set=gateway.addresses={{{GATEWAY}}}",
    f"--set=network.pods={{{SUBNET}}}",
    "--set=workers.enabled=true",
    "--set=workers.certificate.from=configMap",
    "--set=workers.certificate.configMap=farm-gateways",
    "--set=servers.config.limits.job_memory_bytes=1073741824",
)
CERTIFICATE = "/BEGIN CERTIFICATE/,/END CERTIFICATE/p"
_PACK_SECS = 600


def metrics(address: str, port: int, path: str) -> tuple[int, str]:
    """What a pod answers to a kubelet."""
    with suppress(OSError), urlopen(f"http://{address}:{port}/{path}", timeout=5) as answer:
        return answer.status, answer.read().decode()
    return 0, ""


@pytest.fixture
def pods(farm: Farm, tmp_path: Path) -> Iterator[dict[str, Pod]]:
    """The pods of a release, by role, in a network of their own; all are ready."""
    engine, workloads = farm.engine, Rendered.of(*MINIMAL, *VALUES).workloads
    hosts = {f"{RELEASE}-sccachedist-scheduler.{NAMESPACE}.svc": SCHEDULER}
    engine.docker("network", "create", f"--subnet={SUBNET}", NETWORK)
    made: dict[str, Pod] = {}
    try:
        for role, address in {"scheduler": SCHEDULER, "server": SERVER, "gateway": GATEWAY, "worker": WORKER}.items():
            name = f"{RELEASE}-sccachedist-{role}-0"
            pod = Pod(engine, workloads[role], name, address, "sccachedist", NETWORK, tmp_path / role, SECRETS, hosts)
            if role == "worker":
                kept = made["gateway"]
                with network_of(engine.process):
                    wait_until(lambda: metrics(GATEWAY, 10502, "healthz")[0] == 200, 60, "the gateway lives")
                pem = engine.docker(
                    "exec", kept.name, "sed", "-n", CERTIFICATE, "/var/lib/sccachedist/cache/identity/tls.pem"
                )
                pod = attrs.evolve(pod, maps={"gateway.pem": pem})
            pod.start()
            made[role] = pod
        with network_of(engine.process):
            for address, port in ((SCHEDULER, 10602), *((each, 10502) for each in (SERVER, GATEWAY, WORKER))):
                wait_until(partial(is_ready, address, port), 300, f"{address} is ready")
        yield made
    finally:
        for pod in made.values():
            print(pod.name, engine.docker("logs", "--tail=30", pod.name))
            engine.docker("rm", "--force", pod.name)
        engine.docker("network", "rm", NETWORK)


def is_ready(address: str, port: int) -> bool:
    """Whether a pod says that it is."""
    return metrics(address, port, "readyz")[0] == 200


def test_a_client_compiles(pods: dict[str, Pod], farm: Farm, tmp_path: Path) -> None:
    """At either; whichever of the two ends takes its time for it, and ends well."""
    project = write_project(tmp_path / "project", C, 1)
    client_of = Client(tmp_path, f"http://{SCHEDULER}:10600", SECRETS["client.token"], tmp_path / "toolchains")
    names = {f"{SERVER}:10501": pods["server"].name, f"{GATEWAY}:10501": pods["gateway"].name}
    with network_of(farm.engine.process), client_of as client:
        for _ in tuple(names):
            before = client.statistics()
            ended = client.compiling(project.compile_command(project.sources[0]), project.folder).run(_PACK_SECS)
            assert ended.returncode == 0, ended
            [address] = client.statistics().servers_since(before)
            farm.engine.docker("stop", "--time=90", names.pop(address))
        assert client.statistics().errors == 0
    for role in ("scheduler", "worker"):
        farm.engine.docker("stop", "--time=90", pods[role].name)
    for pod in pods.values():
        state = json.loads(farm.engine.docker("inspect", "--format={{json .State}}", pod.name))
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False), (pod.name, state)
