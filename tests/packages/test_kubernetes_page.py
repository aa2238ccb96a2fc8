"""The page about Kubernetes: its commands are followed, with kubectl's word for what a cluster would be sent.

What would run in a pod runs here. Nothing has been sent to a cluster.
"""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from farmkit.launch import CHECKOUT
from farmkit.processes import Command, inherited
from sccachedist.server.identity import load_identity
from tests.packages.chart import MINIMAL, Rendered, found, rendered, settings_of
from tests.support.page_blocks import blocks

pytestmark = [pytest.mark.functional, pytest.mark.packages]

PAGE = {block.name: block.text for block in blocks("kubernetes") if block.name}
#: Before what speaks with a cluster: what it would be sent is printed, what would run in a pod runs here.
KUBECTL = """\
#!/bin/bash
case "$*" in
*" exec "*) pod=$4; shift 5; exec "${{@//\\/var\\/lib\\/sccachedist/{pods}\\/$pod}}" ;;
*create*) exec {kubectl} "$@" --dry-run=client --output=yaml >>{sent} ;;
*) echo "$*" >>{asked} ;;
esac
"""


@attrs.frozen
class Desk:
    """Where an administrator follows the page, without a cluster."""

    folder: Path

    def follow(self, *names: str) -> str:
        """What the commands of some blocks print."""
        script = "\n".join(PAGE[name] for name in names)
        script = script.replace("contrib/", f"{CHECKOUT}/contrib/").replace(
            "/var/lib/kubelet", f"{self.folder}/kubelet"
        )
        script = script.replace("helm upgrade --install", f"{found('helm')} template")
        path = f"{self.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = Command(("/bin/bash", "-euc", script), inherited(PATH=path), self.folder).run(60)
        assert done.returncode == 0, done
        return done.stdout

    @property
    def sent(self) -> list[dict[str, Any]]:
        """What a cluster would have been sent by kubectl."""
        documents = (self.folder / "sent").read_text().replace("apiVersion:", "---\napiVersion:")
        return [each for each in yaml.safe_load_all(documents) if each]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """With the values of the page."""
    (tmp_path / "bin").mkdir()
    names = {"kubectl": found("kubectl"), "sent": tmp_path / "sent", "asked": tmp_path / "asked"}
    pods = str(tmp_path / "pods").replace("/", "\\/")
    (tmp_path / "bin/kubectl").write_text(KUBECTL.format(pods=pods, **names))
    (tmp_path / "bin/kubectl").chmod(0o755)
    (tmp_path / "values.yaml").write_text(PAGE["values"])
    return Desk(tmp_path)


def test_the_page(desk: Desk) -> None:
    """Its commands give the Secret the keys that the pods ask for, and install what the example has."""
    desk.follow("profile", "secrets")
    profile = (
        desk.folder
        / "kubelet/seccomp"
        / rendered("minimal").workloads["server"].spec["securityContext"]["seccompProfile"]["localhostProfile"]
    )
    assert json.loads(profile.read_text()) == json.loads((CHECKOUT / "contrib/containers/seccomp.json").read_text())
    namespace, secret = desk.sent
    assert (namespace["kind"], secret["kind"], secret["metadata"]["name"]) == ("Namespace", "Secret", "farm-secrets")
    made = Rendered(tuple(each for each in yaml.safe_load_all(desk.follow("install")) if each))
    assert {key for workload in made.workloads.values() for key in workload.secrets} == secret["data"].keys()
    assert made == rendered("minimal")
    asked = (desk.folder / "asked").read_text()
    assert (
        asked.split()[-1] == f"statefulset/{made.named('StatefulSet', 'farm-sccachedist-server')['metadata']['name']}"
    )


def test_the_keys_of_the_page(tmp_path: Path) -> None:
    """They are keys of the files."""
    (tmp_path / "keys.yaml").write_text(PAGE["keys"])
    made = Rendered.of(*MINIMAL, f"--values={tmp_path / 'keys.yaml'}").workloads
    assert settings_of(made["scheduler"], tmp_path / "scheduler").queue.max_wait_secs == 120
    assert settings_of(made["server"], tmp_path / "server").limits.job_memory_bytes == 1610612736


def test_the_page_on_workers(desk: Desk) -> None:
    """The Secret has what gateways and workers ask for, and the ConfigMap the certificates that these gateways show."""
    desk.follow("secrets", "worker-secrets")
    workloads = rendered("gateway").workloads
    assert {key for workload in workloads.values() for key in workload.secrets} == desk.sent[-1]["data"].keys()
    shown = []
    for ordinal in (0, 1):
        pod = f"farm-sccachedist-gateway-{ordinal}"
        settings = settings_of(workloads["gateway"], desk.folder / f"made-{ordinal}", ordinal)
        identity = desk.folder / "pods" / pod / "cache/identity"
        shown.append(load_identity(identity, settings.public_addr, datetime.now(UTC), lambda _: None).certificate_pem)
    desk.follow("certificates")
    config_map = desk.sent[-1]
    assert config_map["data"]["gateway.pem"].encode() == b"".join(shown)
    worker = workloads["worker"]
    [volume] = [each["configMap"]["name"] for each in worker.spec["volumes"] if each["name"] == "certificates"]
    assert config_map["metadata"]["name"] == volume
    file = settings_of(worker, desk.folder / "made-worker").gateway.certificate_file
    assert file.name in config_map["data"]


def test_all_commands_are_followed() -> None:
    """A block of commands that no test runs would be one that was never tried."""
    named = {block.name for block in blocks("kubernetes") if block.language == "sh"}
    assert named == {"profile", "secrets", "install", "worker-secrets", "certificates"}
