"""The chart for Kubernetes: Helm and Kubernetes' schemas find no fault, and the daemons read what it has them read.

No cluster is here, so no pod has run.
"""

import json
from ipaddress import ip_address
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from farmkit.launch import CHECKOUT
from farmkit.processes import Command, inherited
from sccachedist.auth.servers import Rewritten
from sccachedist.config import SchedulerSettings
from sccachedist.scheduler.server_auth import rewritten
from tests.packages.chart import (
    CHART,
    EXAMPLES,
    MINIMAL,
    NAMESPACE,
    POD,
    RELEASE,
    Rendered,
    ended,
    file_of,
    found,
    rendered,
    settings_of,
    template,
)

pytestmark = [pytest.mark.functional, pytest.mark.packages]

#: What operators of their own bring to a cluster, with schemas that are not Kubernetes'.
OTHERS = {"PodMonitor", "PrometheusRule", "ScaledObject"}

each_example = pytest.mark.parametrize("example", EXAMPLES)


def test_helm_finds_no_fault() -> None:
    """In no example."""
    values = [f"--values={path}" for path in EXAMPLES.values()]
    for each in values:
        linted = ended("helm", "lint", "--strict", str(CHART), each)
        assert linted.returncode == 0, linted
        assert "1 chart(s) linted, 0 chart(s) failed" in linted.stdout


@each_example
def test_kubernetes_reads_it(example: str) -> None:
    """Every key is one that Kubernetes has; what is for others is not Kubernetes' to judge."""
    for document in rendered(example).documents:
        if document["kind"] not in OTHERS:
            kubernetes_validate.validate(document, "1.37", strict=True)


def test_a_wrong_key_is_found() -> None:
    """So that the test before this one can fail."""
    document = json.loads(json.dumps(rendered("minimal").named("StatefulSet", f"{RELEASE}-sccachedist-server")))
    document["spec"]["template"]["spec"]["containers"][0]["securityContext"]["procMounts"] = "Unmasked"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, "1.37", strict=True)


@each_example
def test_the_daemons_read_their_files(example: str, tmp_path: Path) -> None:
    """``sccachedist check`` says for each role that its file is good."""
    workloads = rendered(example).workloads
    assert workloads.keys() >= {"scheduler"}
    for role, workload in workloads.items():
        command, _, file = workload.container["args"]
        made = file_of(workload, tmp_path / role)
        assert made.name == Path(file).name
        checked = Command((found("sccachedist"), "check", "--config", str(made)), inherited(), tmp_path).run()
        whose = {"server": "build server"}.get(command, command)
        assert checked.stdout.startswith(f"ok: {made} is a {whose}'s configuration\n"), checked


@each_example
def test_build_servers_are_let_in(example: str, tmp_path: Path) -> None:
    """The scheduler takes each build server's and each gateway's word, from where its pod sends; workers find them."""
    workloads = rendered(example).workloads
    scheduler: SchedulerSettings = settings_of(workloads["scheduler"], tmp_path / "scheduler")
    moved = Rewritten(rewritten(scheduler.network))
    services = {
        each["spec"].get("loadBalancerIP") or each["spec"].get("clusterIP")
        for each in rendered(example).kind("Service")
    }
    gateways = set()
    for role in workloads.keys() & {"server", "gateway"}:
        for ordinal in (0, 1):
            settings = settings_of(workloads[role], tmp_path / f"{role}-{ordinal}", ordinal)
            assert moved.may_be(ip_address(POD), settings.public_addr), settings.public_addr
            assert not moved.may_be(ip_address("10.245.0.1"), settings.public_addr)
            assert settings.scheduler_url == f"http://{RELEASE}-sccachedist-scheduler.{NAMESPACE}.svc:10600"
            if role == "gateway":
                assert str(settings.public_addr.host) in services
                gateways.add(f"https://{settings.public_addr}")
    if "worker" in workloads:
        assert set(settings_of(workloads["worker"], tmp_path / "worker").gateway.urls) == gateways


def test_ipv6(tmp_path: Path) -> None:
    """A pod that has an IPv6 address names it as it is written in an address with a port."""
    made = Rendered.of(*MINIMAL, "--set=network.listen=[::]")
    assert (
        str(settings_of(made.workloads["server"], tmp_path / "server", pod="fd00::7").public_addr) == "[fd00::7]:10501"
    )
    assert str(settings_of(made.workloads["scheduler"], tmp_path / "scheduler").public_addr) == "[::]:10600"


def test_several_schedulers_know_each_other(tmp_path: Path) -> None:
    """Each by a name of its own, which is among those of all."""
    workload = rendered("several-schedulers").workloads["scheduler"]
    one, other = (settings_of(workload, tmp_path / str(ordinal), ordinal).cluster for ordinal in (0, 1))
    assert [one.address, other.address] == list(one.schedulers) == list(other.schedulers)
    assert one.lock_password == "secret-of-store.password"


@each_example
def test_no_pod_has_more_than_it_needs(example: str) -> None:
    """An ordinary user, no capability, no token of Kubernetes; what sandboxes need is granted where there are some."""
    for role, workload in rendered(example).workloads.items():
        spec = workload.spec
        has_sandboxes = role in ("server", "worker")
        assert (spec["automountServiceAccountToken"], spec["securityContext"]["runAsNonRoot"]) == (False, True)
        for container in (*spec["initContainers"], *spec["containers"]):
            context = container["securityContext"]
            assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "privileged" not in context
        assert (workload.container["securityContext"].get("procMount") == "Unmasked") == has_sandboxes
        assert (spec.get("hostUsers") is False) == has_sandboxes
        assert (spec["securityContext"]["seccompProfile"]["type"] == "Localhost") == has_sandboxes
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        mounts = {each["mountPath"] for each in workload.container["volumeMounts"] if not each.get("readOnly")}
        assert mounts == {"/var/lib/sccachedist"}
    keys = {role: set(workload.secrets) for role, workload in rendered(example).workloads.items()}
    assert keys.get("worker", {"worker.token"}) == {"worker.token"}
    assert keys.get("server", {"server.token"}) == {"server.token"}
    assert keys.get("gateway", {"server.token", "workers"}) == {"server.token", "workers"}
    assert not list(rendered(example).kind("Secret"))


def test_the_grace_is_longer_than_the_daemons(tmp_path: Path) -> None:
    """Kubernetes kills no job that its daemon still waits for."""
    workload = rendered("gateway").workloads["worker"]
    settings = settings_of(workload, tmp_path / "worker")
    assert settings.shutdown.grace_secs == 120
    assert workload.spec["terminationGracePeriodSeconds"] == 150


def test_further_keys_of_a_file(tmp_path: Path) -> None:
    """They are added to what the chart says, numbers as numbers, and go before it; null takes a key away."""
    made = Rendered.of(
        *MINIMAL,
        "--set=servers.config.limits.job_memory_bytes=1610612736",
        "--set=servers.config.capacity.labels={fast,gpu}",
        "--set=servers.config.metrics=null",
        "--set=scheduler.secretKeys={viewer.token}",
        "--set=scheduler.config.web.viewer_token_file=/run/secrets/sccachedist/viewer.token",
        '--set-json=scheduler.config={"client_auth":{"type":"jwt_validate","audience":"a","issuer":"i",'
        '"jwks_url":"https://id.example.org/keys"},"network":{"servers_from":{"10.9.0.0/16":{"addresses":["10.8.0.0/16"]}}}}',
    )
    server = settings_of(made.workloads["server"], tmp_path / "server")
    assert (server.limits.job_memory_bytes, server.capacity.labels) == (1610612736, ("fast", "gpu"))
    assert server.metrics.address is None
    scheduler = settings_of(made.workloads["scheduler"], tmp_path / "scheduler")
    assert (scheduler.client_auth.issuer, scheduler.web.viewer_token) == ("i", "secret-of-viewer.token")
    assert list(scheduler.network.servers_from) == ["10.9.0.0/16"]
    assert "client.token" not in made.workloads["scheduler"].secrets


def test_prometheus_reads_the_rules(tmp_path: Path) -> None:
    """They are those of ``contrib/prometheus``, and targets have the names of jobs that the rules ask for."""
    made = rendered("several-schedulers")
    [rule] = made.kind("PrometheusRule")
    shipped = (CHECKOUT / "contrib/prometheus/alerts.yml").read_text()
    assert rule["spec"] == yaml.safe_load(shipped)
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule["spec"]))
    read = ended("promtool", "check", "rules", str(tmp_path / "rules.yml"))
    assert read.returncode == 0, read
    for monitor in made.kind("PodMonitor"):
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        [label] = endpoint["relabelings"]
        assert label["targetLabel"] == "job"
        assert f'job="{label["replacement"]}"' in shipped
        role = monitor["metadata"]["labels"]["app.kubernetes.io/component"]
        assert endpoint["port"] in {port["name"] for port in made.workloads[role].container["ports"]}
    boards = made.named("ConfigMap", f"{RELEASE}-sccachedist-dashboards")["data"]
    assert {name: json.loads(text) for name, text in boards.items()} == {
        path.name: json.loads(path.read_text()) for path in (CHECKOUT / "contrib/grafana").glob("*.json")
    }


def test_autoscaling() -> None:
    """By either way, Kubernetes decides how many workers there are, and no number of the chart is in its way."""
    made = Rendered.of(f"--values={EXAMPLES['gateway']}", "--set=workers.autoscaling.kind=HPA")
    [scaler] = made.kind("HorizontalPodAutoscaler")
    kubernetes_validate.validate(scaler, "1.37", strict=True)
    [other] = rendered("gateway").kind("ScaledObject")
    name = f"{RELEASE}-sccachedist-worker"
    for each, its in ((made, scaler), (rendered("gateway"), other)):
        assert its["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in each.named("Deployment", name)["spec"]


WORKERS = ("--set=servers.enabled=false", "--set=workers.enabled=true")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--set=image.repository=r", "--set=secrets.name=s"), "image.tag: the tag of that image"),
        (("--set=image.repository=r", "--set=image.tag=v1"), "secrets.name: the Secret with the tokens"),
        (
            (*MINIMAL, "--set=scheduler.replicas=2", "--set=network.pods={10.244.0.0/16}"),
            "scheduler.store.url: several",
        ),
        ((*MINIMAL, "--set=scheduler.replicas=2"), "network.pods: with servers.hostPort, a gateway or several"),
        ((*MINIMAL, "--set=scheduler.replicas=two"), "at '/scheduler/replicas': got string, want integer"),
        ((*MINIMAL, "--set=scheduler.enabled=false"), "scheduler.url: where the scheduler is"),
        ((*MINIMAL, "--set=scheduler.ingress.enabled=true"), "scheduler.trustedProxies: with an ingress"),
        (
            (*MINIMAL, "--set=servers.hostPort=10501", "--set=network.pods={10.244.0.0/16}"),
            "network.nodes: with servers",
        ),
        ((*MINIMAL, "--set=servers.kind=Deployment"), "at '/servers/kind': value must be one of 'StatefulSet', 'Dae"),
        (
            (*MINIMAL, "--set=servers.kind=DaemonSet", "--set=servers.storage.persistent=true"),
            "servers.storage.persistent: a DaemonSet has no volumes of its own",
        ),
        ((*MINIMAL, "--set=server.replicas=2"), "additional properties 'server' not allowed"),
        (
            (*MINIMAL, "--set=scheduler.config.client_auth.token=x"),
            "scheduler.config.client_auth.token: a secret belongs",
        ),
        ((*MINIMAL, "--set=gateway.enabled=true"), "gateway.addresses: the IP address of each gateway"),
        ((*MINIMAL, "--set=gateway.addresses={gateway.example.org}"), "at '/gateway/addresses/0'"),
        ((*MINIMAL, *WORKERS), "workers.gateways: the URLs of gateways, as there are none"),
        (
            (*MINIMAL, *WORKERS, "--set=workers.gateways={https://10.0.0.7:10501}"),
            "workers.certificate.from: how workers know a gateway",
        ),
    ],
)
def test_values_that_will_not_do(arguments: tuple[str, ...], line: str) -> None:
    """One line names the value, and what it should be."""
    made = template(*arguments)
    assert (made.returncode, made.stdout) == (1, "")
    assert sum(line in each for each in made.stderr.splitlines()) == 1, made.stderr
